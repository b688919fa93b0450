/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file listeners.h
 * Which sockets listen on this machine, and who owns them: from a snapshot at the start, then from LISTEN and CLOSE
 * events.
 */
#ifndef ENGINE_LISTENERS_H
#define ENGINE_LISTENERS_H

#include "types.h"

enum { LISTENERS_MAX = 4096 };

struct listener {
    ip_addr address; /* any (0.0.0.0, ::) or one of this machine's */
    uint32_t family;
    uint16_t port; /* host order */
    uint32_t pid;  /* 0: unknown */
};

struct listeners {
    struct listener *all;
    uint32_t count;
};

bool listeners_init(struct listeners *l); /* false: no memory */
void listeners_free(struct listeners *l);

/** Takes note of a listening socket; the same socket twice is one. Beyond LISTENERS_MAX it is ignored. */
void listeners_add(struct listeners *l, const struct tuple *local, uint32_t pid);
void listeners_remove(struct listeners *l, const struct tuple *local, uint32_t pid);

/**
 * Whether a connection to this address and port reaches a socket of `pid`. A wildcard IPv6 socket may be dual-stack,
 * so it counts for IPv4 too.
 */
bool listeners_reaches(const struct listeners *l, const struct tuple *connection, uint32_t pid);

#endif
