/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file flow_snapshot.h  The redirected connections that exist now, as an array. */
#ifndef CLI_FLOW_SNAPSHOT_H
#define CLI_FLOW_SNAPSHOT_H

#include <windows_redirector.h>

#include <stdbool.h>

/**
 * `*count` connections, to be freed by free(); NULL: the list cannot be read. `*whole`: it is complete; else some that
 * began meanwhile are missing.
 */
redirector_flow *flow_snapshot(redirector *r, uint32_t *count, bool *whole);

#endif
