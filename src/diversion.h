/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file diversion.h
 * The packet layer's handles: one that diverts, its successor while the filter is being replaced, and one to send with.
 *
 *   IN PLACE ──diversion_replace()──→ OPENING ──diversion_poll()──→ RETIRING ──→ DRAINING ──→ IN PLACE
 *   current                           current, and a task           old and current           the old one closes beside us
 *
 * No packet is lost, doubled or taken in another order by it:
 *   - the new handle is open before the old one is shut down, so that nothing that either diverts slips past;
 *   - the old one is read until it is empty before the first packet is taken from the new one;
 *   - all packets are sent by a handle of lower priority than any that diverts, so that none of these sees them again.
 * What the new filter no longer wants can overtake the last packets of its connection that are still with us; so the old
 * handle is shut down at a moment when it is empty, as far as one can tell.
 *
 * Everything is for the engine's thread, except diversion_open() and diversion_close(), before and after it, and
 * diversion_abandon().
 */
#ifndef DIVERSION_H
#define DIVERSION_H

#include "windows/divert_filter.h"
#include "windows/divert_task.h"

#include <windows.h>

struct diversion {
    struct divert_api *api;
    uint16_t proxy_port, incoming_port;
    struct divert_ring *sender;

    /* The engine's thread changes these, under the lock; others read them, under the lock. */
    SRWLOCK lock;
    struct divert_ring *current;
    struct divert_ring *retired; /* read before `current`, until it is empty */
    struct divert_task *opening, *closing;
    bool abandoned;

    /* The engine's thread only. */
    int16_t priority;               /* of `current` */
    bool shut;                      /* `retired` takes nothing new */
    uint32_t retiring_batches;      /* taken from it before that */
    struct divert_ring *taken_from; /* whose batch is in hand */
    char filter[DIVERT_FILTER_MAX];
};

/** Opens the first handle and the one to send with. `d` is zeroed; on failure diversion_close() is still needed. */
bool diversion_open(struct diversion *d, struct divert_api *api, const struct cover *cover, uint16_t proxy_port,
                    uint16_t incoming_port, redirector_error *error);

/** Whether diversion_replace() may be called: the last replacement is through. */
bool diversion_is_idle(const struct diversion *d);

/** Begins to replace the filter. false: it could not even be begun. */
bool diversion_replace(struct diversion *d, const struct cover *cover);

enum diversion_news {
    DIVERSION_NONE,
    DIVERSION_REPLACED, /* the new filter diverts; so does the old one, for a moment */
    DIVERSION_FAILED,   /* the old one stays; *error says why */
};
enum diversion_news diversion_poll(struct diversion *d, redirector_error *error);

/** Whether one may sleep: false while the old handle waits to be shut down, which diversion_next() does. */
bool diversion_is_at_rest(const struct diversion *d);

/** What to wait for: 1 or 2 handles. */
DWORD diversion_wait_handles(const struct diversion *d, HANDLE out[2]);

/** As divert_next() and the others, of whichever handle it is the turn. DIVERT_DRAINED only after diversion_shutdown(). */
enum divert_result diversion_next(struct diversion *d, struct divert_batch *batch, uint32_t *os_error);
void diversion_recycle(struct diversion *d);
uint32_t diversion_send(struct diversion *d, const uint8_t *data, uint32_t bytes, struct divert_address *addresses,
                        uint32_t count);

/** Takes no new traffic; a replacement that is under way is called off. */
void diversion_shutdown(struct diversion *d);

/** Closes all handles at once, from any thread (S3). Idempotent. */
void diversion_abandon(struct diversion *d);

/** After that, by the engine's thread before it ends: divert_settle(). */
void diversion_settle(struct diversion *d);

/** Frees everything. The engine's thread has ended. */
void diversion_close(struct diversion *d);

#endif
