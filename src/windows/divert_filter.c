/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the driver evaluates the filter for each packet of the machine, so the ranges of a set are
 * written as a balanced tree of conditionals: about seven tests instead of a hundred.
 */
#include "windows/divert_filter.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at, *end;
};

static void put(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int room = (int)(t->end - t->at), n = vsnprintf(t->at, (size_t)room, format, arguments);
    va_end(arguments);
    assert(n >= 0 && n < room); /* DIVERT_FILTER_MAX is enough for CAPTURE_RANGES */
    t->at += n < room ? n : room - 1;
}

/* `reached`: an earlier test has shown that the port is not below the range. */
static void put_range(struct text *t, const char *field, struct port_range r, bool reached)
{
    reached = reached || r.first == 0;
    if (reached && r.last == PORT_MAX) {
        put(t, "true");
    } else if (reached) {
        put(t, "%s <= %u", field, r.last);
    } else if (r.first == r.last) {
        put(t, "%s == %u", field, r.first);
    } else if (r.last == PORT_MAX) {
        put(t, "%s >= %u", field, r.first);
    } else {
        put(t, "(%s >= %u and %s <= %u)", field, r.first, field, r.last);
    }
}

static void put_tree(struct text *t, const char *field, const struct port_range *ranges, uint32_t count, bool reached)
{
    if (count == 1) {
        put_range(t, field, ranges[0], reached);
        return;
    }
    uint32_t half = count / 2;
    put(t, "(%s < %u ? ", field, ranges[half].first);
    put_tree(t, field, ranges, half, reached);
    put(t, " : ");
    put_tree(t, field, ranges + half, count - half, true);
    put(t, ")");
}

/* " or <the port is in the set>" */
static void put_set(struct text *t, const char *field, const struct port_set *set)
{
    struct port_range ranges[CAPTURE_RANGES];
    uint32_t count = 0;
    for (uint32_t from = 0; count < CAPTURE_RANGES && port_set_next_range(set, from, &ranges[count]); count++) {
        from = ranges[count].last + 1u;
    }
    if (count) {
        put(t, " or ");
        put_tree(t, field, ranges, count, false);
    }
}
static_assert((int)CAPTURE_INBOUND_RANGES <= (int)CAPTURE_RANGES, "room for either");
static_assert(2 * (CAPTURE_RANGES + CAPTURE_INBOUND_RANGES) + 22 <= 255, "the driver takes 255 tests");
static_assert(2 * CAPTURE_RANGES + 19 <= 255 && 11 * CAPTURE_RANGES + 160 <= 1278, "and of UDP");
static_assert(11 * (CAPTURE_RANGES + CAPTURE_INBOUND_RANGES) + 224 <= 1278, "the DLL takes filters of this length");

static const char no_link_local[] = "(ip or loopback or ((ipv6.SrcAddr < fe80:: or ipv6.SrcAddr >= fec0::) and "
                                    "(ipv6.DstAddr < fe80:: or ipv6.DstAddr >= fec0::)))";

void divert_filter_write(const struct capture_set *captured, uint16_t proxy_port, uint16_t incoming_port,
                         /* NOLINTNEXTLINE(readability-non-const-parameter): it is written to by way of `t` */
                         char out[DIVERT_FILTER_MAX])
{
    static const char first_syn[] = "(tcp.Syn and tcp.Ack == 0)";
    const uint16_t ports[] = {proxy_port, incoming_port};
    struct text t = {out, out + DIVERT_FILTER_MAX};
    put(&t, incoming_port ? "tcp and " : "outbound and tcp and ");
    if (captured->without_link_local) {
        put(&t, "%s and ", no_link_local);
    }
    put(&t, incoming_port ? "(outbound ? (%s" : "(%s", first_syn);
    for (int i = 0; i < 2; i++) {
        if (ports[i]) {
            put(&t, " or tcp.SrcPort == %u", ports[i]);
        }
    }
    put_set(&t, "tcp.SrcPort", &captured->outbound);
    put(&t, ")");
    if (incoming_port) {
        put(&t, " : (%s", first_syn);
        put_set(&t, "tcp.DstPort", &captured->inbound);
        put(&t, "))");
    }
}

/*
 * A test of a header that a packet does not have fails, whichever it is: so each is behind a test that the header is
 * there, and what is not UDP, nearly all of a machine's packets, has the fewest tests.
 */
void divert_filter_write_udp(const struct capture_set *captured, uint16_t udp_port,
                             /* NOLINTNEXTLINE(readability-non-const-parameter): it is written to by way of `t` */
                             char out[DIVERT_FILTER_MAX])
{
    static const char no_multicast[] = "(ip ? ip.DstAddr < 224.0.0.0 : ipv6.DstAddr < ff00::)";
    static const char unreachable[] = "loopback and (icmp ? icmp.Type == 3 : icmpv6.Type == 1)";
    struct text t = {out, out + DIVERT_FILTER_MAX};
    put(&t, "outbound and ");
    if (captured->without_link_local) {
        put(&t, "%s and ", no_link_local);
    }
    put(&t, "(udp ? (%s and ((loopback and udp.SrcPort == %u)", no_multicast, udp_port);
    put_set(&t, "udp.SrcPort", &captured->outbound);
    put(&t, ")) : (%s%s))", captured->fragments ? "(fragment and protocol == 17) or " : "", unreachable);
}
