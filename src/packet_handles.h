/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file packet_handles.h
 * The handles that capture packets of TCP, or of UDP: one, and its successor while the filter is replaced.
 *
 * Theory of operation: a filter cannot be changed, so a handle with the new filter replaces the old one:
 *
 *   state      entered by                  handles
 *   in place                               current
 *   opening    packet_handles_replace()    current; a task opens its successor
 *   retiring   packet_handles_poll()       retired, still capturing, and current
 *   draining   packet_handles_next()       retired, shut down, and current
 *   in place   packet_handles_next()       current; a task closes the retired one
 *
 * No packet is lost, duplicated or reordered by it:
 *   - the new handle is open before the old one is shut down, so that each packet that a filter matches is captured;
 *   - the old handle is read until it is empty before the first packet is taken from the new one;
 *   - packets are sent by a handle of lower priority than those that capture, so that these do not see them again.
 * Packets that the new filter no longer captures could overtake earlier packets of their connection that are still in
 * the old handle's queue. So the old handle is shut down when its queue is found empty, or after RETIRING_BATCHES.
 *
 * All calls are for the engine's thread, except packet_handles_open() before it starts, packet_handles_close() after it
 * has ended, and packet_handles_abandon().
 */
#ifndef PACKET_HANDLES_H
#define PACKET_HANDLES_H

#include "windows/divert_filter.h"
#include "windows/divert_task.h"

#include <windows.h>

/** Which packets: those of UDP, if there is a udp_port, else those of TCP (divert_filter.h). */
struct packet_filter {
    uint16_t proxy_port, incoming_port, udp_port;
};

struct packet_handles {
    struct divert_api *api;
    struct packet_filter ports;

    /* Changed by the engine's thread, read by others; both under the lock. */
    SRWLOCK lock;
    struct divert_ring *current;
    struct divert_ring *retired; /* read before `current`, until it is empty */
    struct divert_task *opening, *closing;
    bool abandoned;

    /* The engine's thread only. */
    int16_t band, turn;             /* `current` has the priority band + turn */
    bool shut;                      /* `retired` captures nothing new */
    uint32_t retiring_batches;      /* taken from `retired` before that */
    struct divert_ring *taken_from; /* the ring of the current batch */
    char filter[DIVERT_FILTER_MAX];
};

/**
 * Opens the first handle, in the band that was claimed; several may share it, if their filters have nothing in common.
 * `h` is zeroed; on failure packet_handles_close() is still needed. One that was never opened may be abandoned and
 * closed.
 */
bool packet_handles_open(struct packet_handles *h, struct divert_api *api, int16_t band,
                         const struct packet_filter *ports, const struct capture_set *captured,
                         redirector_error *error);

/** Whether packet_handles_replace() may be called: no replacement is under way. */
bool packet_handles_is_idle(const struct packet_handles *h);

/** Begins to replace the filter. false: it failed, and the old one stays. */
bool packet_handles_replace(struct packet_handles *h, const struct capture_set *captured);

enum packet_handles_result {
    PACKET_HANDLES_NOTHING,  /* no replacement has ended */
    PACKET_HANDLES_REPLACED, /* the new filter captures; the old one, too, until it is drained */
    PACKET_HANDLES_FAILED,   /* the old one stays; *error says why */
};

/** Checks the tasks that open and close handles. */
enum packet_handles_result packet_handles_poll(struct packet_handles *h, redirector_error *error);

/** false: the retired handle has to be shut down first, which packet_handles_next() does. */
bool packet_handles_may_sleep(const struct packet_handles *h);

/** The events to wait for; returns their number, 1 or 2. */
DWORD packet_handles_to_wait_for(const struct packet_handles *h, HANDLE out[2]);

/**
 * As divert_next() and so on, with the handle whose turn it is. DIVERT_DRAINED: only after packet_handles_shutdown().
 */
enum divert_result packet_handles_next(struct packet_handles *h, struct divert_batch *batch, uint32_t *os_error);
void packet_handles_recycle(struct packet_handles *h);

/** Captures nothing new; a replacement that is under way is cancelled. */
void packet_handles_shutdown(struct packet_handles *h);

/** Closes all handles at once, from any thread (S3). Idempotent. */
void packet_handles_abandon(struct packet_handles *h);

/** divert_settle() of all handles: after packet_handles_abandon(), by the engine's thread before it ends. */
void packet_handles_settle(struct packet_handles *h);

/** Frees everything. The engine's thread has ended. */
void packet_handles_close(struct packet_handles *h);

#endif
