/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file dial.h
 * A connection in the making: to a destination, directly or through an upstream proxy. It needs no relayed connection:
 * whoever begins one gets its result. Everything here runs on the one thread that serves the completion port.
 */
#ifndef CLI_DIAL_H
#define CLI_DIAL_H

#include "relay_socket.h"
#include "upstream.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

struct dial;

/** Where dials are made. Its owner serves the port: what comes back with RELAY_DIAL goes to dial_complete(). */
struct dialler {
    HANDLE port;
    LPFN_CONNECTEX connect_ex[2]; /**< IPv4, IPv6; NULL: the machine has no such family */
    struct dial *first;           /**< all that live */
    ULONGLONG due;                /**< as GetTickCount64(): when dial_tick() has something to do */
};

/** What has become of a dial. */
struct dial_result {
    SOCKET socket;                 /**< connected, and on the port; from now on the receiver's. INVALID_SOCKET: none */
    const char *early;             /**< what the destination has sent already; good during the call */
    uint32_t early_size;           /**< bytes */
    redirector_address bound;      /**< of a dial for datagrams: where the proxy takes them */
    enum upstream_failure failure; /**< what the upstream is at fault with, once it was connected */
    bool asked;                    /**< the upstream had been asked for the destination when it failed */
    DWORD error;                   /**< Winsock error, WSAETIMEDOUT at the limit; 0: none */
};

struct dial_plan {
    const struct upstream *via;     /**< NULL: directly; must outlive the dial */
    const struct upstream *over;    /**< the proxy through which `via` is reached; NULL: it is by itself. Likewise */
    redirector_address destination; /**< family 0: only as far as the upstream's login, as a check */
    bool associate;                 /**< for datagrams, through `via`, which is a SOCKS5 proxy */
    uint32_t limit_ms;              /**< for all of it: connecting and the upstream's answers */
    /** Called once, from dial_complete() or dial_tick(), unless the dial was cancelled; afterwards the dial is no more.
     * It may begin other dials, but must not cancel any. */
    void (*done)(void *context, const struct dial_result *result);
    void *context;
};

/** Begins. NULL: no memory. Never calls done(). */
struct dial *dial_start(struct dialler *dialler, const struct dial_plan *plan);

/** The connection to the upstream while the two are talking, to look at; INVALID_SOCKET: not so far. */
SOCKET dial_upstream(const struct dial *d);

/** Ends a dial before its result. NULL is fine. */
void dial_cancel(struct dial *d);

/** One of its operations has come back: `error` is a Winsock error or 0. */
void dial_complete(struct dial *d, struct relay_op *op, DWORD bytes, DWORD error);

/** What time has brought. Milliseconds until it has to be called again; INFINITE: not before the next dial_start(). */
DWORD dial_tick(struct dialler *dialler);

/** Finds the functions that dials need. False: neither family can connect; see WSAGetLastError(). */
bool dialler_open(struct dialler *dialler, HANDLE port);

#endif
