/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Faults of the driver, scripted by a test: calls that fail, hang or do half of what they should. All but
 * PID are done by the kernel side; see fault.h for the faults of socket events.
 */
#ifndef LAB_DRVFAULT_H
#define LAB_DRVFAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../windows/faultlist.h"
#include "../windows/wire.h"
#include "abi.h"

/* Is an event of this layer to name another process? Then that is counted, and *pid is the process. */
bool drvfault_strikes_pid(uint32_t layer, uint32_t *pid);

/*
 * A command without its first word, "recv 1450 3 on network" (see lab/README.md). False: not
 * understood, nothing changed.
 */
bool drvfault_command(const char *words);

/* Tells the kernel side all that is scripted; changes are told without asking. */
void drvfault_push(void);

/* The driver is to be unloaded, and it has not been told that it is. */
bool drvfault_unloading(void);

/* The kernel side has done it; or is gone. */
void drvfault_lost(void);
void drvfault_struck(const struct lab_struck *struck);

/* How often each has struck, from zero again. */
void drvfault_reset_counts(void);

/* A JSON object by the faults' names. */
void drvfault_print(FILE *out);

#endif
