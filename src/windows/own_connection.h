/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file own_connection.h
 * A TCP connection whose two ends are both here, and which arrives only if it is led here: its destination is an
 * address at which nothing of ours is. No call waits for anything but own_connections_await(), and that one no longer
 * than it is told (S10).
 *
 * Winsock is resolved at run time, so that programs which link the static archive need no import library for it.
 */
#ifndef WINDOWS_OWN_CONNECTION_H
#define WINDOWS_OWN_CONNECTION_H

#include "engine/types.h"

#include <stdint.h>

struct winsock;

struct winsock *winsock_open(void); /* NULL: it cannot be had */
void winsock_close(struct winsock *w);

/**
 * What an end says: its word, and then the word again and again, in one piece of its own that is larger than what a
 * network card carries, and smaller than what loopback does.
 */
enum { OWN_WORD_SIZE = 8, OWN_SPEECH_SIZE = 1024 * OWN_WORD_SIZE };

/** Zeroed at first. What is not said to be the caller's is this module's. */
struct own_connection {
    struct tuple tuple;              /* as its own end states it; after a close, what is asked for at the next bind */
    uint16_t listener_port;          /* where it is to be led; likewise */
    bool reflect;                    /* caller's: it will be led to its own address, not to loopback */
    uint8_t words[2][OWN_WORD_SIZE]; /* caller's: what the ends say to each other; nobody can guess them */

    bool bound, begun;
    bool connected; /* its own end was answered */
    bool arrived;   /* at the listener */
    bool done;      /* both ends have heard the other's word */
    bool whole;     /* and the large piece, too */
    uint32_t error; /* Winsock's: it came to nothing */
    bool kept_in;   /* because Windows itself does not let it out: no route, no address, a policy */
    uintptr_t client, listener, accepted;
    uint32_t heard[2]; /* bytes: at the listener's end, at its own */
};

/**
 * Finds a way out of this machine, for t->family: fills in the addresses and the destination's port. `own` are
 * addresses of this machine: a neighbour of one of them is taken where there is no route to the addresses that are
 * nobody's (RFC 5737, RFC 3849). false: there is no way out.
 */
bool own_connection_find_route(struct winsock *w, struct tuple *t, const ip_addr *own, uint32_t own_count);

/** Binds both ends, for this route. false: it failed. */
bool own_connection_bind(struct winsock *w, struct own_connection *c, const struct tuple *route);

/** Listens, and connects. c->error: Windows does not let it. */
void own_connection_begin(struct winsock *w, struct own_connection *c);

/** Has those go on that are under way; waits up to so many milliseconds until one of them can. */
void own_connections_await(struct winsock *w, struct own_connection *all, uint32_t count, uint32_t ms);

/** Whether it was answered with RST. */
bool own_connection_was_refused(const struct own_connection *c);

/** Closes all of it at once, with RST. */
void own_connection_close(struct winsock *w, struct own_connection *c);

#endif
