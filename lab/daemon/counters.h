/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What happened to packets: in total, per handle and per flow. For tests.
 */
#ifndef LAB_COUNTERS_H
#define LAB_COUNTERS_H

#include <stdint.h>
#include <stdio.h>

#include "packet.h"

#define COUNTER_LIST(X)                                                                                                \
    X(captured)          /* seen by the daemon; injected ones are not seen again */                                    \
    X(malformed)         /* seen, but not one well-formed packet: passed unlooked at */                                \
    X(passed)            /* no handle took it */                                                                       \
    X(diverted)          /* taken by a handle's queue */                                                               \
    X(sniffed)           /* copied into a handle's queue */                                                            \
    X(blocked)           /* matched a handle with the DROP flag */                                                     \
    X(events)            /* events taken by a handle's queue */                                                        \
    X(events_lost)       /* by a scripted fault; these three are of the total only */                                  \
    X(events_doubled)    /* the same */                                                                                \
    X(events_delayed)    /* the same */                                                                                \
    X(receive_calls)     /* receives that have brought packets or events; these two are not known by flow */           \
    X(send_calls)        /* sends that have ended */                                                                   \
    X(received)          /* handed to user mode */                                                                     \
    X(injected)          /* accepted from user mode and on its way */                                                  \
    X(reinjected)        /* left in the queue of a closed handle, and on its way */                                    \
    X(lost_in_queue)     /* lost: pushed out of a full queue, or too long in it; not known by flow */                  \
    X(truncated)         /* lost: did not fit the receive buffer */                                                    \
    X(bad_checksum)      /* lost: flag says valid, sum is wrong */                                                     \
    X(inbound_loopback)  /* lost: injected inbound to or within this host */                                           \
    X(inbound_not_local) /* lost: injected inbound to an address this host has not */                                  \
    X(inbound_too_large) /* lost: injected inbound and longer than `largest` */                                        \
    X(loopback_source)   /* lost: injected outbound from a loopback address to elsewhere */                            \
    X(outbound_loopback) /* lost: injected outbound to ::1 from another address */                                     \
    X(firewall)          /* lost: injected outbound, and blocked by the firewall */                                    \
    X(too_big)           /* lost: injected and larger than the path's MTU */                                           \
    X(unsent)            /* lost: Linux had no room or route for it */                                                 \
    X(hindered)          /* lost: taken by another filter (obstacle.h) */                                              \
    X(refused)           /* injection failed with an error code */                                                     \
    X(wire_lost)         /* on the way between the hosts; these three are of the total only */                         \
    X(wire_reordered)    /* the same */                                                                                \
    X(wire_delayed)      /* the same */

enum counter {
#define X(name) COUNT_##name,
    COUNTER_LIST(X)
#undef X
        COUNTERS
};

struct counters {
    uint64_t count[COUNTERS];
};

/* Adds to the total and to `handle` (may be NULL). */
void counters_add(struct counters *handle, enum counter counter, uint64_t number);

/*
 * Adds one, also to the packet's flow (by protocol, source and destination, that is, each
 * direction on its own).
 */
void counters_add_packet(struct counters *handle, enum counter counter, const struct packet *packet);

/* Makes the handle's count that, and changes the total alike. */
void counters_set(struct counters *handle, enum counter counter, uint64_t number);

/* Zeroes the total and forgets the flows. */
void counters_reset(void);

/* JSON: `"name":n,...` without braces; the total; an array of flows. */
void counters_print(FILE *out, const struct counters *counters);
void counters_print_total(FILE *out);
void counters_print_flows(FILE *out);

#endif
