/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The wire between the hosts: loss, reordering and delay of packets, in both directions.
 */
#ifndef LAB_NETEM_H
#define LAB_NETEM_H

#include <stdbool.h>
#include <stdio.h>

/*
 * `far_end` is the path of the other host's network namespace; NULL: there is no wire. Exits with a
 * message if it cannot be reached.
 */
void netem_open(const char *far_end);
void netem_close(void);

/*
 * A command without its first word: "loss PERCENT", "reorder PERCENT", "delay MS", "clear". False:
 * not understood, or there is no wire.
 */
bool netem_command(const char *words);

/* The settings, as a JSON object. */
void netem_print(FILE *out);

#endif
