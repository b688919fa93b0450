/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Blocking QUIC. The library redirects TCP alone, and a program that may choose speaks HTTP/3 past it. So datagrams
 * from the tree to port 443 are dropped, as a firewall would; every program with HTTP/3 copes with that by TCP.
 *
 * A packet does not say whose it is. Its family, source address and port lead to the sockets that can have sent it, in
 * the system's tables, and these to processes. Only if all of them are to be redirected it is dropped: nothing is ever
 * dropped that may be a stranger's, and what passes because of that is counted.
 *
 * A verdict holds until a socket is bound to the port, or one that was is closed, as the driver's events tell; and not
 * for long, because an event may be late. (A socket layer that blocks would be simpler, but its filter cannot follow a
 * growing tree, and what it refuses is refused with an error that programs take for a broken network.)
 */
#include "quic.h"

#include "output.h"
#include "processes.h"
#include "tap.h"
#include "udp_owner.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PRIORITY = 816,
    PORTS = 65536,
    KNOWN = 1024,    /* sources whose verdict is kept; two that meet in one place are judged by turns */
    PASSES_MS = 500, /* how long a verdict holds without an event */
    DROPS_MS = 20,   /* a stranger who gets the port next must not suffer; and datagrams that are dropped are few */
    HEADERS_MAX = 8, /* extension headers of IPv6 */
    PROTOCOL_UDP = 17,
};

enum verdict { UNKNOWN, PASSES, DROPS };

struct known {
    struct udp_source source;
    enum verdict verdict;
    unsigned changes; /* of its port, when it was judged */
    ULONGLONG judged_at;
};

struct quic {
    const struct tree *tree;
    struct rules_state *rules;
    struct udp_owner *owners;
    struct tap_handle *events, *packets;
    struct worker event_worker, packet_worker;
    atomic_uint changes[PORTS]; /* how often a socket was bound to the port, or closed */
    struct known known[KNOWN];  /* the packets' thread's own */
    uint64_t unknown;           /* datagrams that passed because nobody knows whose they are; its own, too */
};

static void follow_events(void *context)
{
    struct quic *q = context;
    uint32_t length;
    tap_address address;
    while (tap_receive(q->events, NULL, 0, &length, &address)) {
        atomic_fetch_add(&q->changes[address.data.socket.local_port], 1);
    }
}

static bool is_redirected(const struct quic *q, uint32_t pid)
{
    const redirector_rule *rule;
    struct process_row row = {.pid = pid};
    processes_look(&row);
    struct rules_in_force *f = rules_state_take(q->rules);
    bool redirected = processes_judge(&row, f->rules, f->count, tree_has(q->tree, pid), &rule);
    rules_release(f);
    return redirected;
}

static enum verdict judge(const struct quic *q, const struct udp_source *source)
{
    uint32_t pids[UDP_OWNERS_MAX];
    uint32_t count = udp_owner_find(q->owners, source, pids), redirected = 0, unnamed = 0;
    for (uint32_t i = 0; i < count; i++) {
        unnamed += !pids[i];
        redirected += pids[i] && is_redirected(q, pids[i]);
    }
    bool sure = count && !unnamed && count < UDP_OWNERS_MAX && (!redirected || redirected == count);
    return !sure ? UNKNOWN : redirected ? DROPS : PASSES;
}

/* Where the datagram comes from; false: it is none. */
static bool read_source(const uint8_t *data, uint32_t length, struct udp_source *source)
{
    bool ipv6 = length && data[0] >> 4 == 6;
    uint32_t at = ipv6 ? 40 : length ? 4u * (data[0] & 15) : 0;
    if (length < (ipv6 ? 40u : 20u)) {
        return false;
    }
    uint8_t protocol = ipv6 ? data[6] : data[9];
    for (int i = 0; ipv6 && protocol != PROTOCOL_UDP && i < HEADERS_MAX && at + 2 <= length; i++) {
        uint32_t size = protocol == 44 ? 8 : 8 + 8u * data[at + 1]; /* 44: fragment */
        protocol = data[at];
        at += size;
    }
    if (protocol != PROTOCOL_UDP || at + 2 > length) {
        return false;
    }
    memset(source, 0, sizeof *source);
    source->family = ipv6 ? 6 : 4;
    memcpy(source->address, data + (ipv6 ? 8 : 12), ipv6 ? 16 : 4);
    source->port = (uint16_t)(data[at] << 8 | data[at + 1]);
    return true;
}

static struct known *place_of(struct quic *q, const struct udp_source *source)
{
    uint32_t hash = source->port * 31u + source->family;
    for (uint32_t i = 0; i < sizeof source->address; i++) {
        hash = hash * 31u + source->address[i];
    }
    return &q->known[hash % KNOWN];
}

static bool drops(struct quic *q, const uint8_t *data, uint32_t length)
{
    struct udp_source source;
    if (!read_source(data, length, &source)) {
        return false;
    }
    struct known *k = place_of(q, &source);
    ULONGLONG now = GetTickCount64();
    unsigned changes = atomic_load(&q->changes[source.port]); /* before the table is read: what changes then is seen */
    bool holds = memcmp(&k->source, &source, sizeof source) == 0 && k->changes == changes &&
                 now - k->judged_at < (k->verdict == DROPS ? DROPS_MS : PASSES_MS);
    if (!holds) {
        *k = (struct known){source, judge(q, &source), changes, now};
    }
    q->unknown += k->verdict == UNKNOWN;
    return k->verdict == DROPS;
}

static void follow_packets(void *context)
{
    struct quic *q = context;
    uint8_t *data = malloc(TAP_PACKET_MAX);
    uint32_t length;
    tap_address address;
    while (data && tap_receive(q->packets, data, TAP_PACKET_MAX, &length, &address)) {
        if (!drops(q, data, length)) {
            tap_send(q->packets, data, length, &address);
        }
    }
    free(data);
}

struct quic *quic_start(const struct tree *t, struct rules_state *rules)
{
    struct quic *q = calloc(1, sizeof *q);
    if (!q) {
        output_message("out of memory");
        return NULL;
    }
    q->tree = t;
    q->rules = rules;
    q->owners = udp_owner_open();
    if (q->owners) {
        q->events =
            tap_open("udp and (event == BIND or event == CLOSE)", TAP_SOCKET, PRIORITY, TAP_SNIFF | TAP_RECEIVE_ONLY);
    }
    /* last: from here on packets wait for us */
    if (q->events && worker_start(&q->event_worker, follow_events, q)) {
        q->packets = tap_open("outbound and udp.DstPort == 443", TAP_NETWORK, PRIORITY, 0);
    }
    if (!q->packets || !worker_start(&q->packet_worker, follow_packets, q)) {
        output_message("QUIC cannot be blocked (error %lu)", GetLastError());
        quic_stop(q);
        return NULL;
    }
    return q;
}

static void end(struct tap_handle *handle, struct worker *w)
{
    tap_end(handle);
    worker_end(w);
    tap_close(handle);
}

void quic_stop(struct quic *q)
{
    if (!q) {
        return;
    }
    end(q->packets, &q->packet_worker);
    end(q->events, &q->event_worker);
    if (q->unknown) {
        output_message("%llu datagram%s to port 443 passed, because it was not certain whose %s",
                       (unsigned long long)q->unknown, q->unknown == 1 ? "" : "s",
                       q->unknown == 1 ? "it was" : "they were");
    }
    udp_owner_close(q->owners);
    free(q);
}
