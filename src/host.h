/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file host.h
 * What the engine asks of its host (engine/engine_types.h), answered by Windows: facts about processes, the tables of sockets,
 * packets that it injects, lines in the log. All of it is for the engine's thread, or for the start before that runs.
 */
#ifndef HOST_H
#define HOST_H

#include "service_internal.h"

struct engine_host host_of(redirector *r);

/** Milliseconds on the engine's clock. Any thread. */
uint64_t host_now_ms(void);

/**
 * Hands process events to the engine: wherever it is about to judge a process id by what it knows, and now and then.
 * Not for each packet: it is a system call.
 */
void host_take_process_events(redirector *r);

/** Hands the machine's addresses to the engine, if they have changed. */
void host_take_addresses(redirector *r);

/** Sends a batch; what fails is counted. */
void host_send(redirector *r, const uint8_t *data, uint32_t bytes, struct divert_address *addresses, uint32_t packets);

/** Sends what the engine has injected. */
void host_flush(redirector *r);

#endif
