/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A firewall that blocks outbound connections unless their program has a permit.
 */
#ifndef LAB_OUTBOUND_H
#define LAB_OUTBOUND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * "allow" (as it begins; permits are forgotten), "block", "permit PROGRAM", "stall on|off" (the Base Filtering Engine
 * does not answer). False: not understood, nothing changed.
 */
bool outbound_command(const char *command);

/* Is a connection, not over loopback, of this process prevented? Counts it if so. */
bool outbound_prevents(uint32_t windows_pid);

/* Does it block at all? */
bool outbound_blocks(void);

/* FILTERS_CONNECT_x, or-ed: the families in which packets that a driver has injected are blocked. */
uint32_t outbound_blocks_injected(void);

/* JSON: members of an object. */
void outbound_print(FILE *out);

#endif
