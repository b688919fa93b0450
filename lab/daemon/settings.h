/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * How Windows' stack behaves: settings of the kernel side that a test can change.
 */
#ifndef LAB_SETTINGS_H
#define LAB_SETTINGS_H

#include <stdbool.h>
#include <stdio.h>

/* "strict on|off", "lists N", "fragments on|off". False: not understood, nothing changed. */
bool settings_command(const char *command);

/* Tells the kernel side; done without asking when they change. */
void settings_push(void);

/* JSON: members of an object. */
void settings_print(FILE *out);

#endif
