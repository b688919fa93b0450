/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the rooms of lab/windows know of each other. The kernel side of the lab is one module, loaded by
 * Wine as WDFLDR.SYS beside the genuine WinDivert64.sys:
 *
 *   runtime/    memory, Linux system calls, locks, threads, the log
 *   ntoskrnl/   kernel functions that Wine lacks; the clock
 *   kmdf/       the driver framework: objects, requests, queues, files, work items; the loader's exports
 *   requests/   open files as the lab sees them, and faults scripted into their requests
 *   fwpkclnt/   the filtering platform: engine, callouts, layers, flows, injection
 *   ndis/       net buffers
 *   net/        the network beneath it: the wire to the daemon, packets and events into the layers,
 *               what Windows refuses or loses
 *
 * No C library, no exceptions, Windows' calling convention, frames under 4 KB (there is no __chkstk).
 */
#ifndef LAB_PLATFORM_H
#define LAB_PLATFORM_H

#include <ddk/wdm.h>
#include <stdbool.h>
#include <stdint.h>

#include "../daemon/abi.h"
#include "faultlist.h"
#include "wire.h"

/* ------------------------------------------------------------------ requests/ (open files) */

/*
 * An open file of the driver. Made at CREATE, gone after the driver's own destruction of the file: so
 * whoever is inside a classification may use the handle that its filter belongs to.
 */
struct handle {
    struct handle *next;
    uint32_t number;     /* as the daemon knows it */
    uint32_t owner;      /* Windows pid of who opened it */
    int32_t owner_linux; /* -1: not known */
    bool initialized, open;
    bool dead; /* the driver was "unloaded" under it: requests fail with INVALID_DEVICE_STATE */
    uint32_t layer;
    int32_t priority; /* the user's, -30000 to 30000 */
    uint32_t weight;  /* the driver's internal priority: what it stamps its injections with */
    uint64_t flags;
    uint64_t matches;
    uint32_t tests;
    void *context; /* the driver's context of the file, which it gives its filters as rawContext */
};

/* NULL: none. Callers hold no lock. */
struct handle *handle_of_context(const void *context);
struct handle *handle_of_weight(uint32_t weight);

/*
 * Does it strike now, at this layer? Then it is counted, told to the daemon, and *value (may be NULL) is
 * its value.
 */
bool fault_strikes(enum drvfault fault, uint32_t layer, uint32_t *value);
bool fault_is_set(enum drvfault fault, uint32_t layer, uint32_t *value);

/* Called by net/ as records come in. */
void requests_fault(const struct lab_fault *fault); /* scripts it, and lets requests go on that it kept */
void requests_unload(void);
void requests_tell_states(void); /* a LAB_STATE for each handle */
void requests_wire_lost(void);   /* the daemon is gone: nothing may hang on it */

/* Is this thread inside a SEND of a program? (Else the driver injects of its own accord.) */
bool requests_sending(void);

/* The injection about to be made by this thread: does a scripted fault make it fail, and with what? */
bool requests_injection_fails(NTSTATUS *status);

/*
 * Of the injection that requests_injection_fails() was asked about last on this thread: which sums did the
 * program say are right? LAB_x_SUM_MISSING bits, set where it did (all, if this thread is in no SEND), and
 * LAB_IMPOSTOR as in its address.
 */
uint32_t requests_claimed(void);

/*
 * While it is on, requests that this thread completes are left to another thread, which does it in their
 * order: a program in whose connect() we are cannot be waited for (its wineserver stands still until the veto
 * is told), and completing a request waits for wineserver. May be nested.
 */
void completions_defer(void);
void completions_resume(void);

/* ------------------------------------------------------------------ ntoskrnl/ */

/*
 * KeQueryPerformanceCounter says this on the calling thread until it is set to 0 again: an event has the
 * time at which it happened, however late it comes.
 */
void clock_set(int64_t ticks);

/* Replacement for an import of the driver: NULL if Wine's own is good. Each room has its list. */
struct import {
    const char *name;
    void *function;
};
extern const struct import ntoskrnl_imports[], fwpkclnt_imports[], ndis_imports[]; /* each ends with a NULL name */

/* ------------------------------------------------------------------ fwpkclnt/ */

/*
 * The driver takes the packet or event that it is looking at on this thread: it has got a pending receive
 * from its queue (WdfIoQueueRetrieveNextRequest). Without effect outside a classification. To be called
 * before the request can be completed; the caller may hold locks of kmdf/, not those of requests/.
 */
void classification_touched(void);

/* ------------------------------------------------------------------ net/ */

/* Is there a daemon? Connects if need be and starts the thread that reads; false: no. */
bool wire_open(void);
void wire_close(void); /* at unload; returns when the reading thread has ended */

/* Adds a record to the message that is being made; length bytes of data follow it. Any thread. */
void wire_put(const void *record, const void *data, uint32_t length);

/* Sends what has been put. To be called before a request completes and at the end of each batch. */
void wire_flush(void);

/* A call: the record is overwritten by the answer. False: no daemon. */
bool wire_call(void *record, const void *data, uint32_t length);

/* ------------------------------------------------------------------ runtime/ */

void *lab_allocate(size_t size); /* zeroed; NULL: none */
void lab_free(void *memory);

/* One line for the daemon's log, sent with the next flush: %s %S (wide) %d %u %x %llu %p. */
void lab_log(const char *format, ...);

#endif
