/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file service_internal.h  What service.c (life) and loop.c (the engine's thread) share. */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "diversion.h"
#include "engine/engine.h"
#include "log.h"
#include "queue_delay.h"
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

/** Something to be done on the engine's thread, between two batches; it must be brief. */
typedef void request_fn(redirector *r, void *context);
struct request;

struct redirector {
    /* Set by service_start(), constant afterwards. */
    uint32_t flags;
    struct log *log;
    struct divert_api *api;
    struct diversion diversion; /* the packet layer's handles */
    struct divert_ring *events; /* SOCKET: sniffs */
    struct process_job *job;
    struct tcptable *tcptable;
    struct engine *engine;
    HANDLE wake; /* set to make the engine's thread look at stop_requested */
    HANDLE thread;
    HANDLE watchdog, watchdog_end; /* its thread, and the event that ends it */

    /* Shared. */
    atomic_bool stop_requested;
    _Atomic uint32_t progress; /* goes up with each round of the engine's thread, and each batch */
    _Atomic uint64_t watchdog_trips;
    SRWLOCK failure_lock;
    redirector_error failure; /* why it has failed; code 0: it has not */
    _Atomic(struct request *) request;
    _Atomic uint64_t send_errors, receive_errors;
    _Atomic uint64_t lookups_hit, lookups_missed;

    struct queue_delay queue_delay;

    SRWLOCK request_lock; /* one request_make() at a time */

    /* Under the lock, as are the pointers above from service_stop() on. */
    SRWLOCK stop_lock;
    bool stopped, forced;
    uint64_t log_lines_lost; /* once the log is closed */

    /* The engine's thread only. */
    uint64_t news_ms; /* when process news were taken */
    struct outbox outbox;
};

/** The engine's thread. Ends after stop_requested, with the driver drained. */
DWORD WINAPI loop_thread(void *redirector_pointer);

/** What the engine asks of the loop. */
struct engine_host loop_engine_host(redirector *r);

/**
 * Hands process news to the engine: wherever it is about to judge a process id by what it knows, and now and then. Not for
 * each packet: it is a system call.
 */
void loop_take_process_news(redirector *r);

uint64_t loop_now_ms(void);

/** Takes note that redirection has ended by itself, and logs it. Only the first reason counts. Any thread. */
void service_fail(redirector *r, redirector_status status, uint32_t os_error, const char *detail);

/**
 * Watches over the engine's thread (S3): when it makes no progress for two seconds, the driver's handles are closed, so that
 * the machine's traffic flows. Ends by watchdog_stop(), or with the engine's thread.
 */
bool watchdog_start(redirector *r);
void watchdog_stop(redirector *r);

/** Has `run` called on the engine's thread and waits until it was. false: it was not, and never will be. Any thread. */
bool request_make(redirector *r, request_fn *run, void *context);

/** Does what request_make() waits for. Engine's thread. */
void request_serve(redirector *r);

#endif
