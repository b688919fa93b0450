/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Socket events of the lab's client, in WinDivert's terms.
 *
 * What Windows' ALE layers would report is derived from kernel hooks on a cgroup (sockev.bpf.c).
 * One instance per process; not thread-safe.
 */
#ifndef LAB_EVENTS_H
#define LAB_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "sockev.h"

/*
 * Addresses: word 0 least significant, every word in host order; IPv4 as {a, 0xffff, 0, 0}, but
 * unspecified IPv4 all zero. Ports in host order.
 */
struct sock_event {
    uint8_t event; /* WinDivert's event number, 1 (ESTABLISHED) to 7 (CLOSE) */
    bool ipv6;
    bool outbound;
    uint8_t protocol;
    uint32_t pid; /* Windows pid, or WINPID_NATIVE | Linux pid */
    uint32_t local_addr[4], remote_addr[4];
    uint16_t local_port, remote_port;
    uint64_t endpoint, parent_endpoint;
    int64_t ticks;    /* when it happened, of loop_ticks(); set by whoever takes the event from here */
    uint64_t flow;    /* ESTABLISHED and DELETED: its number, never 0 */
    bool closes_port; /* CLOSE: of the port, not of the connection */
    uint64_t ask;     /* not 0: the operation waits for events_answer with this number */
};

typedef void events_fn(void *ctx, const struct sock_event *ev);

/*
 * Attaches to the cgroup, for sockets of the calling process's network namespace, and provides the
 * process maps of winpid.h. Returns 0, or -1 with the error printed on stderr.
 */
int events_open(const char *cgroup_path, events_fn *fn, void *ctx);

/* Becomes readable when events are pending. */
int events_fd(void);

/*
 * Calls fn for everything pending. The kernel records a CONNECT before it builds the SYN, so a call
 * before looking at a packet guarantees that order.
 */
void events_drain(void);

/*
 * From now on an operation that can be prevented (binds, connects, the first datagram to an address) waits for an
 * answer, and its event has a number in `ask`. Whoever is given one answers it, once, also if the event itself is
 * to be lost; an event that comes again, later, must not ask again. Unanswered it is allowed after some seconds.
 */
void events_set_asking(bool asking);
void events_answer(uint64_t ask, bool prevented);

/*
 * Connections made from now on send their SYN again after this time (and then after twice as long, and so on); 0:
 * after a second, as is usual. Rounded up to the kernel's clock tick.
 */
void events_set_syn_timeout(unsigned ms);
unsigned events_syn_timeout(void);

void events_close(void);

#endif
