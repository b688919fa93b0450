/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sessions of the filtering platform that Windows programs have open (the lab's fwpuclnt.dll).
 */
#ifndef LAB_FILTERS_H
#define LAB_FILTERS_H

#include <stdbool.h>

/* `changed` is called when other filters are in force. Exits with a message if the socket is not to be had. */
void filters_open(void (*changed)(void));
void filters_close(void);

/* The Base Filtering Engine does not answer, until it is set to false; what was asked is answered then. */
void filters_stall(bool stalled);
bool filters_are_stalled(void);

/* How many sessions there are. */
unsigned filters_sessions(void);

#endif
