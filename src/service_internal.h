/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file service_internal.h  What service.c (life) and loop.c (the engine's thread) share. */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "engine/engine.h"
#include "log.h"
#include "service.h"
#include "windows/divert.h"
#include "windows/process.h"
#include "windows/tcptable.h"

#include <stdatomic.h>
#include <windows.h>

/** Packets that the engine itself sends (released SYNs, resets), collected so that they leave in batches. */
enum { OUTBOX_PACKETS = 64, OUTBOX_BYTES = 128 * 1024 };
struct outbox {
    struct divert_address addresses[OUTBOX_PACKETS];
    uint8_t data[OUTBOX_BYTES];
    uint32_t count, bytes;
};

/** New rules on their way to the engine's thread, which owns them once `taken` is set. */
struct rule_change {
    struct rules *rules;
    HANDLE taken;
};

struct redirector {
    /* Set by service_start(), constant afterwards. */
    uint32_t flags;
    struct log *log;
    struct divert_api *api;
    struct divert_ring *packets; /* NETWORK: diverts */
    struct divert_ring *events;  /* SOCKET: sniffs */
    struct process_job *job;
    struct tcptable *tcptable;
    struct engine *engine;
    HANDLE wake; /* set to make the engine's thread look at stop_requested */
    HANDLE thread;

    /* Shared. */
    atomic_bool stop_requested;
    _Atomic(struct rule_change *) rule_change;
    _Atomic uint64_t send_errors, receive_errors;
    _Atomic uint64_t lookups_hit, lookups_missed;

    SRWLOCK rules_lock; /* one service_set_rules() at a time */

    /* Under the lock, as are the pointers above from service_stop() on. */
    SRWLOCK stop_lock;
    bool stopped, forced;
    uint64_t log_lines_lost; /* once the log is closed */

    /* The engine's thread only. */
    struct outbox outbox;
};

/** The engine's thread. Ends after stop_requested, with the driver drained. */
DWORD WINAPI loop_thread(void *redirector_pointer);

/** What the engine asks of the loop. */
struct engine_host loop_engine_host(redirector *r);

/** Hands process news to the engine: before the first packet, and on each wake-up. */
void loop_take_process_news(redirector *r, uint64_t now_ms);

uint64_t loop_now_ms(void);

#endif
