/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file capture_flows.h
 * Which connection a packet belongs to. One thread at a time.
 */
#ifndef CLI_CAPTURE_FLOWS_H
#define CLI_CAPTURE_FLOWS_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture_tuple {
    redirector_address source, destination; /**< without scope */
    uint32_t protocol;                      /**< redirector_protocol */
    uint32_t scope;                         /**< of those that are link-local; 0: not known, or none is */
};

struct capture_flows;

/** Reads addresses and ports of a TCP or UDP packet; `interface_index` is where it was seen, 0 for a loopback packet.
 * False: it is none, or a later part of one, which has no ports. */
bool capture_read_tuple(const uint8_t *data, uint32_t length, uint32_t interface_index, struct capture_tuple *tuple);

/** NULL: no memory. */
struct capture_flows *capture_flows_new(void);

/** Reads the redirector's list of connections. Those that have ended stay in the list for some seconds. */
void capture_flows_refresh(struct capture_flows *f, redirector *r);

/** The process of the connection, "curl.exe (4711)" or, between link-local addresses, "curl.exe (4711), interface 4"; NULL: not redirected. *outbound: seen from the process. */
const char *capture_flows_find(const struct capture_flows *f, const struct capture_tuple *tuple, bool *outbound);

/** NULL is fine. */
void capture_flows_free(struct capture_flows *f);

#endif
