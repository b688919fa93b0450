/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * See events.h. The kernel's records are bare: CLOSE has no addresses, ACCEPT no owner, a connect
 * on an unbound socket no BIND. This module remembers each socket (by cookie) and each listener and
 * adds what Windows would say:
 *
 *   BIND      explicit, or implicit right before the first CONNECT, then with the wildcard address
 *   CONNECT   as recorded
 *   LISTEN    as recorded
 *   ACCEPT    owner and parent are those of the most specific listener; of a datagram, the owner of its socket
 *   CLOSE     twice for a socket that bound and connected: once for the connection (remote known,
 *             parent set), once for the port; once for one that did only one of these
 *
 *   ESTABLISHED  as the CONNECT or ACCEPT before it, with its owner; a datagram socket's right after its CONNECT
 *   DELETED   as the ESTABLISHED before it; the socket itself may have been closed long ago, but for datagrams
 *
 * An operation that waits for an answer (veto.h) has been reported when it is done, so that what the kernel records
 * of it then is not reported again; if it is prevented, nothing is remembered of it.
 *
 * An IPv6 socket that carries IPv4 reports its connections as IPv4.
 */
#define _GNU_SOURCE
#include "events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/libbpf.h>

#include "listen.h"
#include "loop.h"
#include "sockev.h"
#include "sockprog.h"
#include "timer.h"
#include "veto.h"
#include "winpid.h"

#define EVENT_ESTABLISHED 1
#define EVENT_DELETED 2
#define EVENT_BIND 3
#define EVENT_CONNECT 4
#define EVENT_LISTEN 5
#define EVENT_ACCEPT 6
#define EVENT_CLOSE 7

/*
 * Sockets are found by cookie modulo this. Cookies are handed out nearly in sequence, so a socket is
 * forgotten (it then yields no CLOSE) only when about this many younger ones exist.
 */
#define SOCKETS 262144

/* What a datagram socket has with one of those that it sends to. */
struct datagram_flow {
    struct datagram_flow *next;
    struct sock_event event;
};

struct socket_entry {
    uint64_t cookie;
    bool bound, connected;
    bool connect_told; /* its CONNECT has been reported before it was done */
    struct datagram_flow *flows;
    struct sock_event bind;       /* BIND as reported */
    struct sock_event connection; /* CONNECT or ACCEPT as reported */
};

static struct socket_entry sockets[SOCKETS];
static struct sock_event flows[SOCKETS]; /* established; by cookie as the sockets, endpoint 0: none */
static events_fn *report;
static void *report_ctx;
static struct ring_buffer *ring;
static unsigned long long lost_reported;
static uint64_t last_flow;
static int patience = -1; /* timer: the next question that goes unanswered */

static bool addr_is_mapped(const unsigned int net[4])
{
    return !net[0] && !net[1] && net[2] == htonl(0xffff);
}

/* Network order, as recorded, to WinDivert's form. */
static void addr_convert(uint32_t out[4], const unsigned int net[4], bool mapped, bool ipv6)
{
    memset(out, 0, 4 * sizeof *out);
    if (ipv6) {
        for (int i = 0; i < 4; i++) {
            out[i] = ntohl(net[3 - i]);
        }
        return;
    }
    out[0] = ntohl(mapped ? net[3] : net[0]);
    if (out[0]) {
        out[1] = 0xffff;
    }
}

static uint32_t record_pid(const struct sockev_record *r)
{
    if (r->windows_pid) {
        return r->windows_pid;
    }
    return r->linux_pid ? WINPID_NATIVE | r->linux_pid : 0;
}

static void event_from_record(struct sock_event *ev, const struct sockev_record *r)
{
    bool has_remote = r->kind == SOCKEV_CONNECT || r->kind == SOCKEV_ACCEPT || r->kind == SOCKEV_ESTABLISHED;
    bool mapped = r->family == AF_INET6 && addr_is_mapped(has_remote ? r->remote_addr : r->local_addr);

    memset(ev, 0, sizeof *ev);
    ev->event = (uint8_t)r->kind;
    ev->ipv6 = r->family == AF_INET6 && !mapped;
    ev->outbound = r->kind != SOCKEV_ACCEPT;
    ev->protocol = (uint8_t)r->protocol;
    ev->pid = record_pid(r);
    addr_convert(ev->local_addr, r->local_addr, mapped, ev->ipv6);
    ev->local_port = r->local_port;
    ev->endpoint = r->cookie;
    if (has_remote) {
        addr_convert(ev->remote_addr, r->remote_addr, mapped, ev->ipv6);
        ev->remote_port = r->remote_port;
        ev->parent_endpoint = r->cookie;
    }
}

/* A datagram socket's flows end with it. */
static void datagram_flows_end(struct socket_entry *s, bool told)
{
    struct datagram_flow *flow;

    while ((flow = s->flows) != NULL) {
        s->flows = flow->next;
        flow->event.event = EVENT_DELETED;
        if (told) {
            report(report_ctx, &flow->event);
        }
        free(flow);
    }
}

static struct socket_entry *socket_entry(uint64_t cookie)
{
    struct socket_entry *s = &sockets[cookie % SOCKETS];

    if (s->cookie != cookie) {
        datagram_flows_end(s, false);
        memset(s, 0, sizeof *s);
        s->cookie = cookie;
    }
    return s;
}

/* BIND comes before CONNECT: a socket that has not been bound has just been by the kernel. */
static void report_implicit_bind(struct socket_entry *s, const struct sock_event *connect)
{
    if (s->bound) {
        return;
    }
    s->bound = true;
    s->bind = *connect;
    s->bind.event = EVENT_BIND;
    s->bind.parent_endpoint = 0;
    s->bind.remote_port = 0;
    memset(s->bind.local_addr, 0, sizeof s->bind.local_addr);
    memset(s->bind.remote_addr, 0, sizeof s->bind.remote_addr);
    report(report_ctx, &s->bind);
}

/* A CONNECT has been reported, and is being done. */
static void connect_done(struct socket_entry *s, const struct sock_event *ev)
{
    struct datagram_flow *flow;

    s->connected = true;
    s->connection = *ev;
    s->connection.ask = 0;
    if (ev->protocol != IPPROTO_UDP) {
        return;
    }
    flow = malloc(sizeof *flow);
    if (!flow) {
        return;
    }
    flow->event = s->connection;
    flow->event.event = EVENT_ESTABLISHED;
    flow->event.flow = ++last_flow;
    flow->next = s->flows;
    s->flows = flow;
    report(report_ctx, &flow->event);
}

static void report_connect(struct socket_entry *s, const struct sock_event *ev)
{
    if (s->connect_told) {
        s->connect_told = false;
        s->connection = *ev;
        return;
    }
    report_implicit_bind(s, ev);
    report(report_ctx, ev);
    connect_done(s, ev);
}

/* A datagram that a socket gets: it is its owner's, who has not asked for anything. Who is not bound gets none. */
static void report_arrival(struct sock_event *ev)
{
    struct socket_entry *s = socket_entry(ev->endpoint);

    if (s->bound) {
        ev->pid = s->bind.pid;
        report(report_ctx, ev);
    }
}

static void report_bind(struct socket_entry *s, const struct sock_event *ev)
{
    s->bound = true;
    s->bind = *ev;
    report(report_ctx, ev);
}

/* An operation that waits. */
static void report_asked(struct sock_event *ev, const struct sockev_record *r)
{
    struct socket_entry *s = socket_entry(ev->endpoint);

    if (ev->event == EVENT_CONNECT) {
        veto_local_address(ev);
        report_implicit_bind(s, ev);
    }
    if (!veto_begin(r, ev)) {
        fprintf(stderr, "events: too many operations wait for an answer, one is allowed\n");
        return;
    }
    timer_set(patience, veto_due());
    report(report_ctx, ev);
}

void events_answer(uint64_t ask, bool prevented)
{
    const struct sock_event *ev = veto_event(ask);
    struct socket_entry *s;

    if (!ev) {
        return;
    }
    s = socket_entry(ev->endpoint);
    if (!prevented && ev->event == EVENT_BIND) {
        s->bound = true;
        s->bind = *ev;
        s->bind.ask = 0;
    } else if (!prevented) {
        s->connect_told = ev->protocol != IPPROTO_UDP;
        connect_done(s, ev);
    }
    veto_end(ask, prevented);
}

static void patience_is_over(void *context, int fd)
{
    uint64_t ask;

    (void)context;
    timer_acknowledge(fd);
    while ((ask = veto_overdue()) != 0) {
        fprintf(stderr, "events: an operation has waited too long for an answer and is allowed\n");
        events_answer(ask, false);
    }
    if (veto_due()) {
        timer_set(patience, veto_due());
    }
}

static void report_accept(struct sock_event *ev)
{
    struct socket_entry *s = socket_entry(ev->endpoint);

    listen_owner(ev);
    s->connected = true;
    s->connection = *ev;
    report(report_ctx, ev);
}

static void report_close(uint64_t cookie)
{
    struct socket_entry *s = &sockets[cookie % SOCKETS];
    struct sock_event ev;

    listen_remove(cookie);
    if (s->cookie != cookie) {
        return;
    }
    if (s->connected) {
        ev = s->connection;
        ev.event = EVENT_CLOSE;
        ev.outbound = true;
        report(report_ctx, &ev);
    }
    if (s->bound) {
        ev = s->bind;
        ev.event = EVENT_CLOSE;
        ev.closes_port = true;
        report(report_ctx, &ev);
    }
    datagram_flows_end(s, true);
    s->cookie = 0;
}

static void report_established(const struct sock_event *recorded)
{
    const struct socket_entry *s = &sockets[recorded->endpoint % SOCKETS];
    struct sock_event *flow = &flows[recorded->endpoint % SOCKETS];

    *flow = s->cookie == recorded->endpoint && s->connected ? s->connection : *recorded;
    flow->event = EVENT_ESTABLISHED;
    flow->flow = ++last_flow;
    report(report_ctx, flow);
}

static void report_deleted(uint64_t cookie)
{
    struct sock_event *flow = &flows[cookie % SOCKETS];

    if (flow->endpoint != cookie) {
        return;
    }
    flow->event = EVENT_DELETED;
    report(report_ctx, flow);
    flow->endpoint = 0;
}

static int on_record(void *ctx, void *data, size_t size)
{
    const struct sockev_record *r = data;
    struct sock_event ev;

    (void)ctx;
    (void)size;
    if (r->kind == SOCKEV_CLOSE) {
        report_close(r->cookie);
        return 0;
    }
    if (r->kind == SOCKEV_DELETED) {
        report_deleted(r->cookie);
        return 0;
    }
    event_from_record(&ev, r);
    if (r->asker) {
        report_asked(&ev, r);
        return 0;
    }
    switch (ev.event) {
    case EVENT_ESTABLISHED:
        report_established(&ev);
        break;
    case EVENT_BIND:
        report_bind(socket_entry(ev.endpoint), &ev);
        break;
    case EVENT_CONNECT:
        if (ev.protocol == IPPROTO_UDP) {
            veto_local_address(&ev);
        }
        report_connect(socket_entry(ev.endpoint), &ev);
        break;
    case EVENT_LISTEN:
        listen_add(&ev);
        report(report_ctx, &ev);
        break;
    case EVENT_ACCEPT:
        (ev.protocol == IPPROTO_UDP ? report_arrival : report_accept)(&ev);
        break;
    }
    return 0;
}

int events_open(const char *cgroup_path, events_fn *fn, void *ctx)
{
    report = fn;
    report_ctx = ctx;
    if (sockprog_load() || sockprog_attach(cgroup_path)) {
        goto fail;
    }
    ring = ring_buffer__new(bpf_map__fd(sockprog()->maps.events), on_record, NULL, NULL);
    if (!ring) {
        fprintf(stderr, "events: ring buffer: %s\n", strerror(errno));
        goto fail;
    }
    winpid_use_map(bpf_map__fd(sockprog()->maps.by_windows_pid));
    veto_open(bpf_map__fd(sockprog()->maps.questions));
    patience = timer_open(patience_is_over, NULL);
    return 0;
fail:
    events_close();
    return -1;
}

int events_fd(void)
{
    return ring_buffer__epoll_fd(ring);
}

void events_drain(void)
{
    ring_buffer__consume(ring);
    if (sockprog()->bss->lost_records != lost_reported) {
        lost_reported = sockprog()->bss->lost_records;
        fprintf(stderr, "events: %llu records lost, the ring was full\n", lost_reported);
    }
}

static void ignore(void *context, const struct sock_event *ev)
{
    (void)context;
    (void)ev;
}

void events_close(void)
{
    winpid_use_map(-1);
    report = ignore;
    if (patience >= 0) {
        events_set_asking(false);
        events_drain(); /* who has asked meanwhile must not stand still for ever */
        veto_close();
        timer_close(patience);
    }
    patience = -1;
    if (ring) {
        ring_buffer__free(ring);
    }
    ring = NULL;
    sockprog_unload();
}
