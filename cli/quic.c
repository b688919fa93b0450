/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Blocking QUIC. The library redirects TCP alone, and a program that may choose speaks HTTP/3 past it. So datagrams
 * from the tree to port 443 are dropped, as a firewall would; every program with HTTP/3 copes with that by TCP.
 *
 * A packet does not say whose it is, but its local port does: BIND events tell who has bound which UDP port, for
 * sockets that are older the system's table does. A port whose owner is not known passes: nothing is ever dropped that
 * may be a stranger's. (A socket layer that blocks would be simpler, but its filter cannot follow a growing tree, and
 * what it refuses is refused with an error that programs take for a broken network.)
 */
#include "quic.h"

#include "tap.h"
#include "output.h"
#include "port_owner.h"
#include "processes.h"
#include "worker.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { PRIORITY = 816, PORTS = 65536 };

/* What is known of a port. A verdict holds for one owner; a new BIND makes it unknown. */
enum verdict { UNKNOWN, PASSES, DROPS };

struct quic {
    const struct tree *tree;
    const redirector_rule *rules;
    uint32_t rule_count;
    struct tap_handle *events, *packets;
    struct worker event_worker, packet_worker;
    atomic_uint owners[PORTS]; /* pid; 0: not known */
    atomic_uint verdicts[PORTS];
};

static void follow_events(void *context)
{
    struct quic *q = context;
    uint32_t length;
    tap_address address;
    while (tap_receive(q->events, NULL, 0, &length, &address)) {
        uint16_t port = address.data.socket.local_port;
        atomic_store(&q->owners[port], address.event == TAP_BIND ? address.data.socket.pid : 0);
        atomic_store(&q->verdicts[port], UNKNOWN);
    }
}

static enum verdict judge(const struct quic *q, uint32_t pid)
{
    const redirector_rule *rule;
    struct process_row row = {.pid = pid};
    bool member = tree_has(q->tree, pid);
    if (!pid) {
        return UNKNOWN;
    }
    processes_look(&row);
    return processes_judge(&row, q->rules, q->rule_count, member, &rule) ? DROPS : PASSES;
}

static uint16_t local_port(const uint8_t *data, uint32_t length)
{
    uint32_t header = data[0] >> 4 == 6 ? 40 : 4u * (data[0] & 15);
    return header + 2 <= length ? (uint16_t)(data[header] << 8 | data[header + 1]) : 0;
}

static bool drops(struct quic *q, const uint8_t *data, uint32_t length)
{
    uint16_t port = length ? local_port(data, length) : 0;
    enum verdict known = (enum verdict)atomic_load(&q->verdicts[port]);
    if (known == UNKNOWN) {
        uint32_t owner = atomic_load(&q->owners[port]);
        if (!owner) {
            owner = port_owner(PORT_UDP, port);
        }
        known = judge(q, owner);
        atomic_store(&q->verdicts[port], known);
    }
    return known == DROPS;
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

struct quic *quic_start(const struct tree *t, const redirector_rule *rules, uint32_t rule_count)
{
    struct quic *q = calloc(1, sizeof *q);
    if (!q) {
        output_message("out of memory");
        return NULL;
    }
    q->tree = t;
    q->rules = rules;
    q->rule_count = rule_count;
    q->events =
        tap_open("udp and (event == BIND or event == CLOSE)", TAP_SOCKET, PRIORITY, TAP_SNIFF | TAP_RECEIVE_ONLY);
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
    free(q);
}
