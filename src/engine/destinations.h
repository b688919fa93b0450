/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file destinations.h
 * The map that proxies read: source port as the proxy sees it -> original destination.
 *
 * One writer, the engine's thread; any number of readers and deleters on other threads. The writer never waits for
 * anybody: an entry is replaced under a sequence number, and a reader that was overtaken reads again. Deleting flips
 * the entry's "live" bit by compare-and-swap against the very entry that was there, so it can neither hit a later
 * connection on the same port nor be undone by a later packet of the same one (L2).
 */
#ifndef ENGINE_DESTINATIONS_H
#define ENGINE_DESTINATIONS_H

#include "types.h"

struct destinations;

/** One mapping. */
struct destination {
    ip_addr peer;    /* the proxy sees the connection come from here */
    ip_addr address; /* where it was going */
    uint32_t family;
    uint32_t scope; /* of both where they are link-local; 0: not known, or neither is */
    uint16_t port;  /* where it was going, host order */
    uint32_t pid;
    bool incoming;
    uint32_t upstream;    /* of the rule that decided; 0: none did */
    uint64_t decision_id; /* with which somebody was asked to decide it; 0: nobody was */
};

struct destinations *destinations_new(void); /* NULL: no memory */
void destinations_free(struct destinations *d);

/* Writer. `port` is the peer's port, host order. */
void destinations_publish(struct destinations *d, uint16_t port, const struct destination *value);
void destinations_withdraw(struct destinations *d, uint16_t port);

/* Any thread. false: no live mapping. */
bool destinations_find(const struct destinations *d, uint16_t port, struct destination *out);

/** Deletes the mapping that find would return, if `match` is NULL or accepts it. */
bool destinations_delete(struct destinations *d, uint16_t port,
                         bool (*match)(const struct destination *value, const void *context), const void *context);

#endif
