/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * See events.h. The kernel's records are bare: CLOSE has no addresses, ACCEPT no owner, a connect
 * on an unbound socket no BIND. This module remembers each socket (by cookie) and each listener and
 * adds what Windows would say:
 *
 *   BIND      explicit, or implicit right before the first CONNECT, then with the wildcard address
 *   CONNECT   as recorded
 *   LISTEN    as recorded
 *   ACCEPT    owner and parent are those of the most specific listener
 *   CLOSE     twice for a socket that bound and connected: once for the connection (remote known,
 *             parent set), once for the port; once for one that did only one of these
 *
 *   ESTABLISHED  as the CONNECT or ACCEPT before it, with its owner
 *   DELETED   as the ESTABLISHED before it; the socket itself may have been closed long ago
 *
 * An IPv6 socket that carries IPv4 reports its connections as IPv4.
 */
#define _GNU_SOURCE
#include "events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "listen.h"
#include "loop.h"
#include "sockev.h"
#include "sockev.skel.h"
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

struct socket_entry {
    uint64_t cookie;
    bool bound, connected;
    struct sock_event bind;       /* BIND as reported */
    struct sock_event connection; /* CONNECT or ACCEPT as reported */
};

static struct socket_entry sockets[SOCKETS];
static struct sock_event flows[SOCKETS]; /* established; by cookie as the sockets, endpoint 0: none */
static events_fn *report;
static void *report_ctx;
static struct sockev_bpf *programs;
static unsigned syn_timeout_ms;
static struct ring_buffer *ring;
static unsigned long long lost_reported;

static bool addr_is_mapped(const unsigned int net[4])
{
    return !net[0] && !net[1] && net[2] == htonl(0xffff);
}

/* Network order, as recorded, to WinDivert's form. */
static void addr_convert(uint32_t out[4], const unsigned int net[4], bool mapped, bool ipv6)
{
    memset(out, 0, 4 * sizeof *out);
    if (ipv6) {
        for (int i = 0; i < 4; i++)
            out[i] = ntohl(net[3 - i]);
        return;
    }
    out[0] = ntohl(mapped ? net[3] : net[0]);
    if (out[0])
        out[1] = 0xffff;
}

static uint32_t record_pid(const struct sockev_record *r)
{
    if (r->windows_pid)
        return r->windows_pid;
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

static struct socket_entry *socket_entry(uint64_t cookie)
{
    struct socket_entry *s = &sockets[cookie % SOCKETS];

    if (s->cookie != cookie) {
        memset(s, 0, sizeof *s);
        s->cookie = cookie;
    }
    return s;
}

static void report_connect(struct socket_entry *s, const struct sock_event *ev)
{
    if (!s->bound) {
        s->bound = true;
        s->bind = *ev;
        s->bind.event = EVENT_BIND;
        s->bind.parent_endpoint = 0;
        s->bind.remote_port = 0;
        memset(s->bind.local_addr, 0, sizeof s->bind.local_addr);
        memset(s->bind.remote_addr, 0, sizeof s->bind.remote_addr);
        report(report_ctx, &s->bind);
    }
    s->connected = true;
    s->connection = *ev;
    report(report_ctx, ev);
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
    if (s->cookie != cookie)
        return;
    if (s->connected) {
        ev = s->connection;
        ev.event = EVENT_CLOSE;
        ev.outbound = true;
        report(report_ctx, &ev);
    }
    if (s->bound) {
        ev = s->bind;
        ev.event = EVENT_CLOSE;
        report(report_ctx, &ev);
    }
    s->cookie = 0;
}

static void report_established(const struct sock_event *recorded)
{
    const struct socket_entry *s = &sockets[recorded->endpoint % SOCKETS];
    struct sock_event *flow = &flows[recorded->endpoint % SOCKETS];

    *flow = s->cookie == recorded->endpoint && s->connected ? s->connection : *recorded;
    flow->event = EVENT_ESTABLISHED;
    flow->established = loop_ticks();
    report(report_ctx, flow);
}

static void report_deleted(uint64_t cookie)
{
    struct sock_event *flow = &flows[cookie % SOCKETS];

    if (flow->endpoint != cookie)
        return;
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
    if (r->blocked) {
        ev.blocked = true;
        report(report_ctx, &ev);
        return 0;
    }
    switch (ev.event) {
    case EVENT_ESTABLISHED:
        report_established(&ev);
        break;
    case EVENT_BIND:
        socket_entry(ev.endpoint)->bound = true;
        socket_entry(ev.endpoint)->bind = ev;
        report(report_ctx, &ev);
        break;
    case EVENT_CONNECT:
        report_connect(socket_entry(ev.endpoint), &ev);
        break;
    case EVENT_LISTEN:
        listen_add(&ev);
        report(report_ctx, &ev);
        break;
    case EVENT_ACCEPT:
        report_accept(&ev);
        break;
    }
    return 0;
}

static int attach_to_cgroup(const char *path)
{
    struct {
        struct bpf_program *program;
        struct bpf_link **link;
    } const parts[] = {
        {programs->progs.watch_bind4, &programs->links.watch_bind4},
        {programs->progs.watch_bind6, &programs->links.watch_bind6},
        {programs->progs.veto_connect4, &programs->links.veto_connect4},
        {programs->progs.veto_connect6, &programs->links.veto_connect6},
        {programs->progs.veto_send4, &programs->links.veto_send4},
        {programs->progs.veto_send6, &programs->links.veto_send6},
        {programs->progs.watch_tcp, &programs->links.watch_tcp},
        {programs->progs.watch_release, &programs->links.watch_release},
    };
    int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = -1;

    if (cgroup < 0) {
        fprintf(stderr, "events: cgroup %s: %s\n", path, strerror(errno));
        return -1;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].link = bpf_program__attach_cgroup(parts[i].program, cgroup);
        if (!*parts[i].link) {
            fprintf(stderr, "events: attach %s to %s: %s\n", bpf_program__name(parts[i].program), path,
                    strerror(errno));
            goto out;
        }
    }
    result = 0;
out:
    close(cgroup); /* the links hold the cgroup */
    return result;
}

static int load_programs(void)
{
    struct stat ns;

    if (stat("/proc/self/ns/net", &ns)) {
        fprintf(stderr, "events: /proc/self/ns/net: %s\n", strerror(errno));
        return -1;
    }
    programs = sockev_bpf__open();
    if (!programs) {
        fprintf(stderr, "events: eBPF open: %s\n", strerror(errno));
        return -1;
    }
    programs->rodata->lab_netns = (unsigned int)ns.st_ino;
    if (sockev_bpf__load(programs)) {
        fprintf(stderr, "events: eBPF load: %s\n", strerror(errno));
        return -1;
    }
    programs->links.watch_pipes = bpf_program__attach(programs->progs.watch_pipes);
    if (!programs->links.watch_pipes) {
        fprintf(stderr, "events: attach watch_pipes: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

void events_set_blockers(const struct sockev_blocker *blockers, unsigned count)
{
    programs->bss->blocker_count = 0;
    memcpy(programs->bss->blockers, blockers, count * sizeof *blockers);
    __sync_synchronize();
    programs->bss->blocker_count = count;
}

void events_set_syn_timeout(unsigned ms)
{
    struct timespec tick;

    clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* what the kernel counts in */
    syn_timeout_ms = ms;
    programs->bss->syn_timeout_ticks = (unsigned)((ms * 1000000ULL + tick.tv_nsec - 1) / tick.tv_nsec);
}

unsigned events_syn_timeout(void)
{
    return syn_timeout_ms;
}

int events_open(const char *cgroup_path, events_fn *fn, void *ctx)
{
    report = fn;
    report_ctx = ctx;
    if (load_programs() || attach_to_cgroup(cgroup_path))
        goto fail;
    ring = ring_buffer__new(bpf_map__fd(programs->maps.events), on_record, NULL, NULL);
    if (!ring) {
        fprintf(stderr, "events: ring buffer: %s\n", strerror(errno));
        goto fail;
    }
    winpid_use_maps(bpf_map__fd(programs->maps.by_linux_pid), bpf_map__fd(programs->maps.by_windows_pid));
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
    if (programs->bss->lost_records != lost_reported) {
        lost_reported = programs->bss->lost_records;
        fprintf(stderr, "events: %llu records lost, the ring was full\n", lost_reported);
    }
}

void events_close(void)
{
    winpid_use_maps(-1, -1);
    if (ring)
        ring_buffer__free(ring);
    ring = NULL;
    if (programs)
        sockev_bpf__destroy(programs);
    programs = NULL;
}
