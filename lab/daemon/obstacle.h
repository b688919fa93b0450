/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Another product's filter on the client, in the way of the driver or of what it sends.
 */
#ifndef LAB_OBSTACLE_H
#define LAB_OBSTACLE_H

#include <stdbool.h>
#include <stdio.h>

#include "packet.h"

/* "loopback", "inbound", "hidden" or "stale", each for both families or with " 4" or " 6" behind it; "off". */
bool obstacle_command(const char *command);

/* Whether it takes what was injected. */
bool obstacle_takes(const struct packet *packet, bool outbound);

/* Whether it hides from the driver what is on its way. */
bool obstacle_hides(const struct packet *packet);

/* A handle was opened for packets. */
void obstacle_opened(void);

/* JSON: an object. */
void obstacle_print(FILE *out);

#endif
