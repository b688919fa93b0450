/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The control socket: a test asks and sets one line at a time and gets one line of JSON each.
 */
#ifndef LAB_CONTROL_H
#define LAB_CONTROL_H

#include <stdint.h>

/* Exits with a message if the socket cannot be made. */
void control_open(const char *path);
void control_close(void);

/*
 * The kernel side has done all and told all that it was asked to before this question; or it is gone,
 * and whoever waits for it must be answered.
 */
void control_told(uint64_t token);
void control_told_all(void);

/* The driver has been unloaded, which is told later than the answer to a question. */
void control_unloaded(void);

#endif
