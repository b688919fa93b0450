/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file divert.h
 * WinDivert: loading the DLL by absolute path, opening handles, and moving batches of packets and events.
 *
 * The DLL's own address structure (80 bytes) is known here and nowhere else; the engine sees `packet_meta` and
 * `socket_event`. A receive ring keeps several overlapped receives outstanding and hands the batches over in the
 * order in which they were posted, so that packets keep their order.
 */
#ifndef WINDOWS_DIVERT_H
#define WINDOWS_DIVERT_H

#include "engine/types.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/** WINDIVERT_ADDRESS, byte for byte. Union members beyond those used here are not declared. */
struct divert_address {
    int64_t timestamp; /* QueryPerformanceCounter units */
    uint8_t layer;
    uint8_t event;
    uint8_t flags; /* DIVERT_FLAG_* */
    uint8_t reserved1;
    uint32_t reserved2;
    union {
        struct {
            uint32_t if_index, sub_if_index;
        } network;
        struct {
            uint64_t endpoint_id, parent_endpoint_id;
            uint32_t process_id;
            uint32_t local_addr[4], remote_addr[4]; /* word 0 least significant, host order */
            uint16_t local_port, remote_port;       /* host order */
            uint8_t protocol;
        } socket;
        struct {
            int64_t timestamp; /* when the handle was opened */
            uint32_t process_id;
            uint32_t layer;
            uint64_t flags;
            int16_t priority;
        } reflect;
        uint8_t raw[64];
    };
};
static_assert(sizeof(struct divert_address) == 80, "the driver writes arrays of these");

enum {
    DIVERT_SNIFFED = 0x01,
    DIVERT_OUTBOUND = 0x02,
    DIVERT_LOOPBACK = 0x04,
    DIVERT_IMPOSTOR = 0x08,
    DIVERT_IPV6 = 0x10,
    DIVERT_IP_CHECKSUM = 0x20,
    DIVERT_TCP_CHECKSUM = 0x40,
    DIVERT_UDP_CHECKSUM = 0x80,
};

struct divert_api;  /* the loaded DLL */
struct divert_ring; /* one open handle with its outstanding receives */

enum divert_layer { DIVERT_LAYER_NETWORK = 0, DIVERT_LAYER_SOCKET = 3, DIVERT_LAYER_REFLECT = 4 };

/**
 * Priorities of our packet handles: each redirector has a band of three, all its own (divert_claim.h). The two that
 * capture packets take turns; the one that sends is below both, so that neither sees what it sends. WinDivert's range is
 * -30000..30000, higher first. The bands are those around DIVERT_BAND_USUAL, which is odd on purpose: these had better
 * not be round numbers that others use.
 */
enum {
    DIVERT_BAND_SEND = 0, /* from the band's first priority */
    DIVERT_BAND_FIRST = 1,
    DIVERT_BAND_SECOND = 2,
    DIVERT_BAND_SIZE = 3,

    DIVERT_BAND_USUAL = 816,
    DIVERT_BAND_LOWEST = 702,
    DIVERT_BAND_HIGHEST = 897,
    DIVERT_BANDS = 66,

    DIVERT_PRIORITY_EVENTS = 817, /* of the socket layer: handles that only look on need no order */
};
static_assert((DIVERT_BAND_USUAL - DIVERT_BAND_LOWEST) % DIVERT_BAND_SIZE == 0, "the usual one is one of the bands");
static_assert(DIVERT_BAND_LOWEST + (DIVERT_BANDS - 1) * DIVERT_BAND_SIZE == DIVERT_BAND_HIGHEST, "so many bands");

/**
 * Loads WinDivert.dll from `dir` (UTF-8, absolute; NULL: folder of the running program), by absolute path only (S7),
 * and checks that it is version 2.2 and has every export needed. NULL on failure, with *error set (DLL_NOT_FOUND,
 * DLL_VERSION, NO_MEMORY). The DLL then stays loaded until the process ends.
 */
struct divert_api *divert_load(const char *dir, redirector_error *error);
struct divert_api *divert_retain(struct divert_api *api); /* one more owner */
void divert_unload(struct divert_api *api);               /* one less. NULL is fine; the DLL itself stays loaded */

/**
 * Opens a handle. NETWORK handles divert; SOCKET and REFLECT handles look on. Raises the queue limits right after the
 * open. The receives are posted by the first calls of divert_next(), because Windows cancels
 * what a thread has outstanding when it ends; until then divert_wait_handle() is set. NULL on failure with *error set:
 * NOT_ELEVATED, DRIVER_NOT_FOUND, DRIVER_BLOCKED, DRIVER_SIGNATURE, DRIVER_CONFLICT, DRIVER_SERVICE, BFE_NOT_RUNNING,
 * DRIVER_FAILED, NO_MEMORY. The handle is not inheritable.
 */
struct divert_ring *divert_open(struct divert_api *api, const char *filter, enum divert_layer layer, int16_t priority,
                                redirector_error *error);

/** Opens a NETWORK handle that only sends, as divert_open(). The filter must match nothing: what it matches is lost. */
struct divert_ring *divert_open_sender(struct divert_api *api, const char *filter, int16_t priority,
                                       redirector_error *error);

/**
 * Event object (HANDLE) that is set when the oldest outstanding receive is complete. It may change after
 * divert_next().
 */
void *divert_wait_handle(const struct divert_ring *ring);

/** A batch as it came from the driver. Its memory is the ring's, writable, and valid until divert_recycle(). */
struct divert_batch {
    struct divert_address *addresses; /* `count` of them */
    uint8_t *data;                    /* packets back to back (NETWORK) */
    uint32_t bytes;
    uint32_t count;
};

enum divert_result {
    DIVERT_BATCH,   /* *batch is filled in */
    DIVERT_NOTHING, /* nothing is complete now */
    DIVERT_DRAINED, /* shut down and empty: no more will come */
    DIVERT_ERROR,   /* this receive failed (*os_error); the next may work. Counted by the caller */
};

/** Takes the oldest outstanding receive, without waiting. Always to be called from the same thread. */
enum divert_result divert_next(struct divert_ring *ring, struct divert_batch *batch, uint32_t *os_error);

/**
 * Gives the batch's memory back and posts a new receive with it. After DIVERT_ERROR it posts the failed receive
 * again.
 */
void divert_recycle(struct divert_ring *ring);

/**
 * Sends `count` packets that stand back to back. Addresses belong to packets one to one. Returns 0, or the Windows
 * error of the last failure (then some packets may have gone out: never send the batch again). `addresses` must be
 * writable memory; `count` is at most 255.
 */
uint32_t divert_send(struct divert_ring *ring, const uint8_t *data, uint32_t bytes, struct divert_address *addresses,
                     uint32_t count);

/** No new traffic is taken from now on; what is queued can still be received until DIVERT_DRAINED. */
void divert_shutdown_receive(struct divert_ring *ring);

/**
 * Closes the driver handle only, from any thread, without waiting (50 ms when another thread hangs in a call): traffic
 * flows again at once (S3), a divert_send() that waits for the driver returns, divert_next() says DIVERT_ERROR with
 * 995 from now on. Idempotent; divert_close() is still needed, and must not run at the same time.
 */
void divert_abandon(struct divert_ring *ring);

/**
 * After divert_abandon(), by the thread that used the ring, before it ends: waits until the driver has given back what
 * is outstanding, at most a tenth of a second. What it gives back to a thread that has ended may never be known as
 * given back (Wine), and the ring's memory would be left.
 */
void divert_settle(struct divert_ring *ring);

/**
 * Cancels what is outstanding, waits for it, closes the handle, frees the memory. Takes at most half a second: what a
 * driver does not complete even then stays allocated. No other call may be running. NULL is fine.
 */
void divert_close(struct divert_ring *ring);

/**
 * Has Windows unload the driver, if no handle of it is open, ours included: all must have been closed before. false:
 * others use it, or it could not be asked for; then it stays. Takes at most a quarter of a second.
 */
bool divert_stop_driver(struct divert_api *api);

/** Conversion at the border. `transport`: the flag that tells of the sum in question, DIVERT_TCP_CHECKSUM or _UDP_. */
struct packet_meta divert_packet_meta(const struct divert_address *a, uint8_t transport);
/** Everything else in *a stays. */
void divert_apply_meta(struct divert_address *a, const struct packet_meta *m, uint8_t transport);
/** false: neither TCP nor UDP, or not understood. */
bool divert_socket_event(const struct divert_address *a, struct socket_event *out);

#endif
