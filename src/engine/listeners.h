/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file listeners.h
 * Which sockets listen on this machine, and who owns them: from snapshots of the TCP table, and from LISTEN and CLOSE
 * events in between.
 *
 * A snapshot is handed in while events go on: what an event tells counts more than a snapshot that began before it.
 *
 * Both sources may tell of the same socket, and a snapshot may not know the owner; then the two become one entry. A
 * snapshot also drops what it does not contain any more, so that a lost CLOSE event does not matter for long. An event
 * counts only as far as nothing newer is known of its address: events can be late, and come twice.
 */
#ifndef ENGINE_LISTENERS_H
#define ENGINE_LISTENERS_H

#include "types.h"

enum { LISTENERS_MAX = 4096, LISTENER_CHAINS = 1024 };

struct listener {
    ip_addr address; /* any (0.0.0.0, ::) or one of this machine's */
    uint32_t family;
    uint32_t pid;     /* 0: unknown */
    uint16_t port;    /* host order */
    uint16_t next;    /* in its chain, plus 1; 0: it is the last */
    bool in_tree;     /* its owner is one whose connections are redirected */
    uint8_t judged;   /* of UDP, where in_tree is not known from the start (udp_sockets.c) */
    bool confirmed;   /* a snapshot had it: then it has IPv4's table to show whether it is dual-stack */
    uint32_t told_in; /* the last reading of the table (tcp_table.h) that had it, or had begun before its event */
    uint64_t seen_ms; /* when an event told of it last, or the last snapshot that had it began */

    /* What its LISTEN event said, so that a CLOSE that is late is not taken for its own; 0: a snapshot found it. */
    int64_t since;
    uint64_t endpoint;
};

struct listeners {
    struct listener *all;
    uint32_t count;
    bool dual;                        /* of UDP: a socket on :: may be dual-stack whatever a snapshot shows */
    uint16_t chains[LISTENER_CHAINS]; /* ports with the same last bits -> one of all, plus 1; 0: none */
};

bool listeners_init(struct listeners *l); /* false: no memory */
void listeners_free(struct listeners *l);

/** Where it is told of a listening socket. */
struct listener_source {
    bool snapshot;
    uint32_t reading; /* the snapshot's number; of an event, the number of the one that began last */
    uint64_t at_ms;   /* when the snapshot began; of an event, now */
};

/** Takes note of a listening socket; the same socket twice is one. Beyond LISTENERS_MAX it is ignored: NULL. */
struct listener *listeners_add(struct listeners *l, const struct tuple *local, uint32_t pid, bool in_tree,
                               struct listener_source source);

/** Whether there was such a socket. */
bool listeners_remove(struct listeners *l, const struct tuple *local, uint32_t pid);

/** Removes the sockets of other processes at this address; whether there were some. */
bool listeners_remove_others(struct listeners *l, const struct tuple *local, uint32_t pid);

/**
 * Whether what a LISTEN or CLOSE event tells is over by now: a socket listens at its address since a later time; or, of
 * a CLOSE, it is another socket of the process that does.
 */
bool listeners_outlive(const struct listeners *l, const struct socket_event *event);

/** A whole snapshot of this number has been handed in: what it does not have, and no event has told of since, goes. */
void listeners_snapshot_end(struct listeners *l, uint32_t reading);

/**
 * The listener that a connection to connection->dst reaches, the one bound to that very address first; NULL: none. A
 * wildcard IPv6 socket may be dual-stack: Windows lists such a one in both tables, but tells of it in one event, so
 * that it counts for IPv4 too until a snapshot has shown it.
 */
const struct listener *listeners_find(const struct listeners *l, const struct tuple *connection);

/** Whether a socket with this local end may be one for both families. */
static inline bool listeners_may_be_dual_stack(const struct tuple *local)
{
    return local->family == FAMILY_IP6 && ip_addr_is_any(&local->src, local->family);
}

/** Removes the IPv4 half of what may have been a dual-stack socket, for which there is no event of its own. */
void listeners_remove_twin(struct listeners *l, const struct tuple *local, uint32_t pid);

/** Whether a process has a socket at this port that sends from, or receives at, this address, however others do. */
bool listeners_own(const struct listeners *l, const struct tuple *local, uint32_t pid);

/** Whether another process listens on the very same address and port (SO_REUSEADDR): either may get a connection. */
bool listeners_is_shared(const struct listeners *l, const struct listener *x);

/**
 * Whether a connection to connection->dst may reach this process: it owns the listener that listeners_find() tells of,
 * or another one at the same address (SO_REUSEADDR). A dst of 0.0.0.0 or :: stands for every address of the machine:
 * any listener on that port.
 */
bool listeners_serve(const struct listeners *l, const struct tuple *connection, uint32_t pid);

#endif
