/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Objects that programs have added to the filtering platform (fwpuclnt.dll), and how their filters are weighed.
 */
#ifndef LAB_ARBITRATION_H
#define LAB_ARBITRATION_H

#include <stdbool.h>

#include "filters_protocol.h"

/* FWP_E_x. */
enum {
    ARBITRATION_SUBLAYER_NOT_FOUND = (int)0x80320007,
    ARBITRATION_ALREADY_EXISTS = (int)0x80320009,
    ARBITRATION_FULL = 14, /* ERROR_OUTOFMEMORY: the lab's tables */
};

/*
 * Adds a sublayer or a filter, or says by its number why not; 0: done. `session` is whose it is, and not NULL. It is in
 * force after arbitration_commit.
 */
int arbitration_add(const void *session, const struct filters_request *request);

/* What the session has added is in force from now on; or it is gone, as far as it was not in force. */
void arbitration_commit(const void *session);
void arbitration_abort(const void *session);

/* A session has ended: a dynamic one's objects go with it, the others stay. */
void arbitration_end(const void *session, bool dynamic);

/*
 * Is a packet that a driver has injected outbound blocked, given that the firewall blocks what no filter permits?
 * Windows sees it as a connection of "System" with protocol 255; or as TCP of a raw endpoint, if that was said.
 */
void arbitration_see_tcp(bool tcp);
bool arbitration_blocks_injected(enum filters_layer layer);

/* Filters in force. */
unsigned arbitration_filters(void);

#endif
