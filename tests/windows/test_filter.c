/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The packet layer's filters, as the genuine WinDivert.dll understands them: each compiles, into no more tests than the driver
 * takes, and lets through exactly what divert_filter.h says.
 *
 *   test_filter FOLDER    of the genuine WinDivert.dll
 */
#include "check.h"
#include "windows/divert.h"
#include "windows/divert_filter.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { PROXY = 8080, INCOMING = 8081, NETWORK = 0, TESTS_MAX = 255, OBJECT_MAX = 65536 };
enum { FLAG_ACK = 0x10, FLAG_SYN = 0x02, FLAG_FIN = 0x01, FLAG_RST = 0x04 };

typedef BOOL compile_fn(const char *filter, int layer, char *object, UINT size, const char **error, UINT *position);
typedef BOOL eval_fn(const char *filter, const void *packet, UINT length, const struct divert_address *address);

static compile_fn *compile;
static eval_fn *eval;
static char filter[DIVERT_FILTER_MAX], object[OBJECT_MAX];
static struct capture_set captured;

struct sent {
    bool outbound, ipv6, loopback;
    uint8_t flags;
    uint16_t src, dst;
    uint16_t from, to; /* IPv6: how the addresses begin */
};

static bool matches(struct sent s)
{
    uint8_t packet[60] = {0};
    uint8_t *tcp = packet + (s.ipv6 ? 40 : 20);
    struct divert_address address = {.flags =
                                         (uint8_t)((s.outbound ? DIVERT_OUTBOUND : 0) | (s.ipv6 ? DIVERT_IPV6 : 0) |
                                                   (s.loopback ? DIVERT_LOOPBACK : 0))};
    if (s.ipv6) {
        memcpy(packet, (uint8_t[]){0x60, 0, 0, 0, 0, 20, 6, 64}, 8);
        packet[23] = packet[39] = 1;
        packet[8] = (uint8_t)(s.from >> 8);
        packet[9] = (uint8_t)s.from;
        packet[24] = (uint8_t)(s.to >> 8);
        packet[25] = (uint8_t)s.to;
    } else {
        memcpy(packet, (uint8_t[]){0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, 20);
    }
    tcp[0] = (uint8_t)(s.src >> 8);
    tcp[1] = (uint8_t)s.src;
    tcp[2] = (uint8_t)(s.dst >> 8);
    tcp[3] = (uint8_t)s.dst;
    tcp[12] = 0x50;
    tcp[13] = s.flags;
    SetLastError(0);
    return eval(object, packet, s.ipv6 ? 60 : 40, &address);
}

static bool is_link_local(uint16_t begin)
{
    return begin >= 0xfe80 && begin <= 0xfebf;
}

static bool wanted(struct sent s, uint16_t proxy, uint16_t incoming)
{
    if (captured.without_link_local && s.ipv6 && !s.loopback && (is_link_local(s.from) || is_link_local(s.to))) {
        return false;
    }
    bool first_syn = (s.flags & FLAG_SYN) && !(s.flags & FLAG_ACK);
    if (s.outbound) {
        return first_syn || (proxy && s.src == proxy) || (incoming && s.src == incoming) ||
               port_set_has(&captured.outbound, s.src);
    }
    return incoming && (first_syn || port_set_has(&captured.inbound, s.dst));
}

/* Compiles the filter for `captured`; its tests as the serialised form counts them: none if it does not compile. */
static bool compiles(uint16_t proxy, uint16_t incoming)
{
    const char *error = "";
    UINT position = 0;
    divert_filter_write(&captured, proxy, incoming, filter);
    bool ok = compile(filter, NETWORK, object, sizeof object, &error, &position);
    if (!ok) {
        printf("# %s at %u of: %.300s\n", error, position, filter);
    }
    return ok;
}

static uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 0x5eed5eed5eed;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % limit;
}

static void check_packets(uint16_t proxy, uint16_t incoming, uint32_t count)
{
    static const uint8_t flags[] = {FLAG_SYN, FLAG_ACK, FLAG_SYN | FLAG_ACK, FLAG_FIN | FLAG_ACK, FLAG_RST, 0};
    for (uint32_t i = 0; i < count; i++) {
        static const uint16_t begins[] = {0, 0x2001, 0xfe7f, 0xfe80, 0xfebf, 0xfec0, 0xff02};
        struct sent s = {.outbound = random_below(2),
                         .ipv6 = random_below(2),
                         .from = begins[random_below(7)],
                         .to = begins[random_below(7)],
                         .flags = flags[random_below(6)],
                         .src = (uint16_t)random_below(65536),
                         .dst = (uint16_t)random_below(65536)};
        s.loopback = s.outbound && random_below(2);
        struct port_range edge;
        switch (random_below(4)) { /* where mistakes are: at the edges */
        case 0:
            s.src = random_below(2) ? PROXY : INCOMING;
            break;
        case 1:
            s.src = port_set_next_range(&captured.outbound, s.src, &edge) ? (uint16_t)(edge.first - random_below(2))
                                                                          : s.src;
            break;
        case 2:
            s.src =
                port_set_next_range(&captured.outbound, s.src, &edge) ? (uint16_t)(edge.last + random_below(2)) : s.src;
            s.dst =
                port_set_next_range(&captured.inbound, s.dst, &edge) ? (uint16_t)(edge.last + random_below(2)) : s.dst;
            break;
        default:
            break;
        }
        bool is = matches(s), ought = wanted(s, proxy, incoming);
        if (is != ought) {
            printf("# %s flags %02x %u -> %u: %d, filter %.200s\n", s.outbound ? "out" : "in", s.flags, s.src, s.dst,
                   is, filter);
        }
        CHECK(is == ought);
    }
}

static void an_empty_set_takes_first_syns_and_the_proxies(void)
{
    memset(&captured, 0, sizeof captured);
    CHECK(compiles(PROXY, 0));
    CHECK(strstr(filter, "inbound") == NULL && strncmp(filter, "outbound and ", 13) == 0); /* no inbound callout */
    check_packets(PROXY, 0, 3000);
    CHECK(compiles(PROXY, INCOMING));
    check_packets(PROXY, INCOMING, 3000);
    CHECK(compiles(0, INCOMING));
    check_packets(0, INCOMING, 3000);
}

static void a_full_set_takes_all(void)
{
    port_set_fill(&captured.outbound);
    CHECK(compiles(PROXY, 0));
    check_packets(PROXY, 0, 3000);
    port_set_remove(&captured.outbound, 50000);
    CHECK(compiles(PROXY, 0));
    CHECK(!matches((struct sent){.outbound = true, .flags = FLAG_ACK, .src = 50000, .dst = 80}));
    CHECK(matches((struct sent){.outbound = true, .flags = FLAG_ACK, .src = 50001, .dst = 80}));
    CHECK(matches((struct sent){.outbound = true, .ipv6 = true, .flags = FLAG_ACK, .src = 49999, .dst = 80}));
}

static void random_sets(void)
{
    for (uint32_t round = 0; round < 60; round++) {
        memset(&captured, 0, sizeof captured);
        for (uint32_t i = 0, n = random_below(round < 30 ? 60 : 4000); i < n; i++) {
            port_set_add(&captured.outbound, (uint16_t)random_below(65536));
        }
        for (uint32_t i = 0, n = random_below(40); i < n; i++) {
            port_set_add(&captured.inbound, (uint16_t)random_below(65536));
        }
        port_set_coarsen(&captured.outbound, CAPTURE_RANGES);
        port_set_coarsen(&captured.inbound, CAPTURE_INBOUND_RANGES);
        captured.without_link_local = round % 2;
        uint16_t incoming = round % 3 ? INCOMING : 0;
        CHECK(compiles(PROXY, incoming));
        check_packets(PROXY, incoming, 500);
    }
}

static void link_local_packets_can_be_left_out(void)
{
    memset(&captured, 0, sizeof captured);
    captured.without_link_local = 1;
    CHECK(compiles(PROXY, 0));
    check_packets(PROXY, 0, 3000);
    CHECK(!matches((struct sent){.outbound = true, .ipv6 = true, .flags = FLAG_SYN, .to = 0xfe80}));
    CHECK(matches((struct sent){.outbound = true, .ipv6 = true, .loopback = true, .flags = FLAG_SYN, .to = 0xfe80}));
    CHECK(matches((struct sent){.outbound = true, .flags = FLAG_SYN}));
    CHECK(compiles(PROXY, INCOMING));
    check_packets(PROXY, INCOMING, 3000);
}

/* As many ranges as there can be, none adjacent: the longest text, and the most tests. */
static void the_finest_set_compiles(void)
{
    memset(&captured, 0, sizeof captured);
    captured.without_link_local = 1;
    for (uint32_t i = 0; i < CAPTURE_RANGES; i++) {
        port_set_add(&captured.outbound, (uint16_t)(10001 + 1000 * i));
        port_set_add(&captured.outbound, (uint16_t)(10002 + 1000 * i));
    }
    for (uint32_t i = 0; i < CAPTURE_INBOUND_RANGES; i++) {
        port_set_add(&captured.inbound, (uint16_t)(20001 + 1000 * i));
        port_set_add(&captured.inbound, (uint16_t)(20002 + 1000 * i));
    }
    CHECK(compiles(65535, 65534));
    printf("# %u characters, %u bytes serialised\n", (unsigned)strlen(filter), (unsigned)strlen(object));
    check_packets(65535, 65534, 3000);
}

/* ---- UDP */

enum { UDP_PORT = 9053 };

/* A packet of the UDP filter, or one of its neighbours. */
struct packet {
    bool outbound, ipv6, loopback;
    uint8_t protocol;      /* TCP, UDP, ICMP of its family */
    uint8_t type;          /* of ICMP */
    bool more, later;      /* the first fragment; one without header */
    uint16_t src;          /* port */
    uint16_t to, to_start; /* how the destination begins: IPv6; IPv4 */
};

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58, FRAGMENT = 44 };

static uint16_t put_header6(uint8_t *packet, const struct packet *p)
{
    bool fragment = p->more || p->later;
    memcpy(packet, (uint8_t[]){0x60, 0, 0, 0, 0, fragment ? 32 : 24, fragment ? FRAGMENT : p->protocol, 64}, 8);
    packet[23] = packet[39] = 1;
    packet[8] = 0x20;
    packet[24] = (uint8_t)(p->to >> 8);
    packet[25] = (uint8_t)p->to;
    if (fragment) {
        memcpy(packet + 40, (uint8_t[]){p->protocol, 0, p->later ? 5 : 0, p->more ? 1 : 0, 0, 0, 0, 1}, 8);
    }
    return fragment ? 48 : 40;
}

static uint16_t put_header4(uint8_t *packet, const struct packet *p)
{
    memcpy(packet, (uint8_t[]){0x45, 0, 0, 44, 0, 1, 0, 0, 64, p->protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, 20);
    packet[6] = p->more ? 0x20 : 0;
    packet[7] = p->later ? 3 : 0;
    packet[16] = (uint8_t)(p->to_start >> 8);
    packet[17] = (uint8_t)p->to_start;
    return 20;
}

static bool takes(const struct packet *p)
{
    uint8_t packet[80] = {0};
    struct divert_address address = {.flags =
                                         (uint8_t)((p->outbound ? DIVERT_OUTBOUND : 0) | (p->ipv6 ? DIVERT_IPV6 : 0) |
                                                   (p->loopback ? DIVERT_LOOPBACK : 0))};
    uint16_t at = p->ipv6 ? put_header6(packet, p) : put_header4(packet, p);
    uint8_t *inner = packet + at;
    if (p->protocol == ICMP || p->protocol == ICMP6) {
        inner[0] = p->type;
    } else {
        inner[0] = (uint8_t)(p->src >> 8);
        inner[1] = (uint8_t)p->src;
        inner[3] = 7;
        inner[p->protocol == UDP ? 5 : 12] = p->protocol == UDP ? 24 : 0x50;
    }
    SetLastError(0);
    return eval(object, packet, at + 24u, &address);
}

/* As divert_filter.h says it. */
static bool ought_to_be_taken(const struct packet *p)
{
    bool fragment = p->later, multicast = p->ipv6 ? p->to >= 0xff00 : p->to_start >= 0xe000;
    if (!p->outbound || p->protocol == TCP) {
        return false;
    }
    if (p->protocol == UDP) {
        return fragment
                   ? captured.fragments != 0
                   : !multicast && ((p->loopback && p->src == UDP_PORT) || port_set_has(&captured.outbound, p->src));
    }
    return p->loopback && !fragment && p->type == (p->ipv6 ? 1 : 3);
}

static bool compiles_udp(void)
{
    const char *why = "";
    UINT position = 0;
    divert_filter_write_udp(&captured, UDP_PORT, filter);
    bool ok = compile(filter, NETWORK, object, sizeof object, &why, &position);
    if (!ok) {
        printf("# %s at %u of: %.300s\n", why, position, filter);
    }
    return ok;
}

static struct packet random_packet(void)
{
    static const uint16_t begins[] = {0, 0x2001, 0xfe80, 0xfeff, 0xff00, 0xff02, 0xffff};
    static const uint16_t starts[] = {0x0a00, 0x7f00, 0xdfff, 0xe000, 0xefff, 0xffff};
    struct packet p = {.outbound = random_below(8),
                       .ipv6 = random_below(2),
                       .more = random_below(4) == 0,
                       .later = random_below(4) == 0,
                       .type = (uint8_t)random_below(5),
                       .src = (uint16_t)(random_below(4) ? random_below(65536) : UDP_PORT),
                       .to = begins[random_below(7)],
                       .to_start = starts[random_below(6)]};
    const uint8_t protocols[] = {UDP, UDP, UDP, TCP, p.ipv6 ? ICMP6 : ICMP};
    struct port_range edge;
    p.protocol = protocols[random_below(5)];
    p.loopback = p.outbound && random_below(2);
    if (random_below(2) && port_set_next_range(&captured.outbound, p.src, &edge)) { /* where mistakes are */
        p.src = (uint16_t)(random_below(2) ? edge.first - random_below(2) : edge.last + random_below(2));
    }
    return p;
}

static void check_udp(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct packet p = random_packet();
        bool is = takes(&p), ought = ought_to_be_taken(&p);
        if (is != ought) {
            printf("# %s IPv%d protocol %u type %u port %u%s%s%s to %04x/%04x: %d, filter %.200s\n",
                   p.outbound ? "out" : "in", p.ipv6 ? 6 : 4, p.protocol, p.type, p.src, p.loopback ? " loopback" : "",
                   p.more ? " first" : "", p.later ? " later" : "", p.to, p.to_start, is, filter);
        }
        CHECK(is == ought);
    }
}

/* U3, U4, U5: datagrams to somebody, fragments while they are wanted, errors that are ours to translate. */
static void udp_takes_what_it_says(void)
{
    memset(&captured, 0, sizeof captured);
    CHECK(compiles_udp());
    CHECK(strstr(filter, "inbound") == NULL && strncmp(filter, "outbound and ", 13) == 0); /* no inbound callout */
    check_udp(4000);
    captured.fragments = 1;
    port_set_fill(&captured.outbound);
    CHECK(compiles_udp());
    check_udp(4000);
    port_set_remove(&captured.outbound, 50000); /* a stranger's */
    CHECK(compiles_udp());
    check_udp(4000);
    CHECK(!takes(&(struct packet){.outbound = true, .protocol = UDP, .src = 50000, .to_start = 0x0a00}));
    CHECK(takes(&(struct packet){.outbound = true, .protocol = UDP, .src = 50001, .to_start = 0x0a00}));
    CHECK(takes(
        &(struct packet){.outbound = true, .loopback = true, .protocol = UDP, .src = UDP_PORT, .to_start = 0x7f00}));
}

static void udp_takes_random_sets(void)
{
    for (uint32_t round = 0; round < 40; round++) {
        memset(&captured, 0, sizeof captured);
        for (uint32_t i = 0, n = random_below(round < 20 ? 60 : 4000); i < n; i++) {
            port_set_add(&captured.outbound, (uint16_t)random_below(65536));
        }
        port_set_coarsen(&captured.outbound, CAPTURE_RANGES);
        captured.fragments = round % 2;
        CHECK(compiles_udp());
        check_udp(500);
    }
}

static void the_finest_set_of_udp_compiles(void)
{
    memset(&captured, 0, sizeof captured);
    captured.without_link_local = captured.fragments = 1;
    for (uint32_t i = 0; i < CAPTURE_RANGES; i++) {
        port_set_add(&captured.outbound, (uint16_t)(10001 + 700 * i));
        port_set_add(&captured.outbound, (uint16_t)(10002 + 700 * i));
    }
    CHECK(compiles_udp());
    printf("# %u characters, %u bytes serialised\n", (unsigned)strlen(filter), (unsigned)strlen(object));
    captured.without_link_local = 0;
    CHECK(compiles_udp());
    check_udp(3000);
}

int main(int argc, char **argv)
{
    char path[600];
    snprintf(path, sizeof path, "%s\\WinDivert.dll", argc > 1 ? argv[1] : "");
    HMODULE dll = argc > 1 ? LoadLibraryA(path) : NULL;
    if (!dll) {
        printf("skip filters: no genuine WinDivert.dll given\n");
        return checks_done();
    }
    FARPROC found[] = {GetProcAddress(dll, "WinDivertHelperCompileFilter"),
                       GetProcAddress(dll, "WinDivertHelperEvalFilter")};
    memcpy(&compile, &found[0], sizeof compile);
    memcpy(&eval, &found[1], sizeof eval);
    RUN(an_empty_set_takes_first_syns_and_the_proxies);
    RUN(a_full_set_takes_all);
    RUN(random_sets);
    RUN(link_local_packets_can_be_left_out);
    RUN(the_finest_set_compiles);
    RUN(udp_takes_what_it_says);
    RUN(udp_takes_random_sets);
    RUN(the_finest_set_of_udp_compiles);
    return checks_done();
}
