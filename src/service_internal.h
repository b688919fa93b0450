/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file service_internal.h
 * Shared by service.c (start and stop), loop.c (the engine's thread) and host.c (what the engine asks for).
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "engine/engine.h"
#include "lane.h"
#include "log.h"
#include "proof.h"
#include "queue_delay.h"
#include "service.h"
#include "windows/address_watch.h"
#include "windows/divert.h"
#include "windows/process.h"
#include "windows/process_watch.h"
#include "windows/table_reader.h"

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

/** Counters that the engine does not have; names as in redirector_stats. */
#define SERVICE_COUNTERS(X)                                                                                            \
    X(send_errors)                                                                                                     \
    X(receive_errors)                                                                                                  \
    X(lookups_hit)                                                                                                     \
    X(lookups_missed)                                                                                                  \
    X(watchdog_trips)                                                                                                  \
    X(priority_shared)                                                                                                 \
    X(members_outside)                                                                                                 \
    X(proofs)                                                                                                          \
    X(steering_replaced)                                                                                               \
    X(handle_renewals)                                                                                                 \
    X(table_failures)

/** A table of sockets, and whether a reading of it is being handed in (table_feed.h). */
struct table_feed {
    struct table_reader *reader; /* NULL: nobody asks for this one */
    /* The engine's thread only. */
    bool asked, under_way;
    uint64_t warned_ms; /* when it was said that it cannot be had; 0: never */
};

struct redirector {
    /* Set by service_start(), constant afterwards. */
    uint32_t flags;
    struct log *log;
    struct divert_api *api;
    struct lane tcp, udp;             /* what captures and looks on */
    struct divert_ring *sender;       /* what both send by */
    struct divert_claiming *claiming; /* while starting */
    struct process_job *job;
    struct process_watch *watch; /* NULL: all members are in the job, so far */
    struct table_feed tcp_table, udp_table;
    struct address_watch *addresses; /* NULL: Windows does not tell them */
    struct firewall_permit *permit;  /* NULL: off, or no memory */
    struct engine *engine;
    HANDLE wake;            /* set to make the engine's thread look at stop_requested */
    HANDLE decision_wanted; /* set when the engine has asked about a connection; NULL: nobody decides */
    HANDLE thread;
    HANDLE watchdog, watchdog_end; /* its thread, and the event that ends it */

    /* Shared. */
    atomic_bool stop_requested;
    _Atomic uint32_t progress; /* goes up with each round of the engine's thread, and each batch */
    SRWLOCK failure_lock;
    redirector_error failure; /* why it has failed; code 0: it has not, but os_error may say what limits it */
    _Atomic(struct request *) request;
#define COUNTER(name) _Atomic uint64_t name;
    SERVICE_COUNTERS(COUNTER)
#undef COUNTER

    struct queue_delay queue_delay;
    struct proof proof;

    SRWLOCK request_lock; /* one request_make() at a time */

    /* Under the lock, as are the pointers above from service_stop() on. */
    SRWLOCK stop_lock;
    bool stopped, forced;
    uint64_t log_lines_dropped; /* once the log is closed */

    /* The engine's thread only. */
    uint64_t process_events_ms; /* when process events were taken */
    bool decision_asked;        /* about a connection, since decision_wanted was set */
    bool outside_told;          /* a member outside of the job was logged as a warning */
    bool limited;               /* service_state() says so */
    struct outbox outbox;
};

/** The engine's thread. Ends after stop_requested, with the driver drained. */
DWORD WINAPI loop_thread(void *redirector_pointer);

/** Closes the driver's handles, so that traffic flows (S3). Idempotent; any thread. */
void service_abandon(redirector *r);

/** Records that redirection has ended by itself, and logs it. Only the first reason counts. Any thread. */
void service_fail(redirector *r, redirector_status status, uint32_t os_error, const char *detail);

/** Says what limits redirection, while it has not failed; NULL: nothing does any more. Any thread. */
void service_limit(redirector *r, uint32_t os_error, const char *note);

/**
 * Watches over the engine's thread (S3): when it makes no progress for two seconds, the driver's handles are closed, so
 * that the machine's traffic flows. Ends by watchdog_stop(), or with the engine's thread.
 */
bool watchdog_start(redirector *r);
void watchdog_stop(redirector *r);

/** Has `run` called on the engine's thread and waits until it was. false: it was not, and never will be. Any thread. */
bool request_make(redirector *r, request_fn *run, void *context);

/** Does what request_make() waits for. Engine's thread. */
void request_serve(redirector *r);

#endif
