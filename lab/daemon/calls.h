/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Calls of the kernel side: questions that are answered at once.
 */
#ifndef LAB_CALLS_H
#define LAB_CALLS_H

#include <stdbool.h>

/* Answers what comes in on this connection, and closes it in the end. */
bool calls_add(int fd);

#endif
