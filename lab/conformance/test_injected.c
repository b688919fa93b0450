/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Injected packets come by again with the state of having been injected, in both directions and families, also
 * those that the driver injects of its own accord: "a handle considers it only if its priority is below the
 * injector's", "as an ordinary packet with Impostor = 0". The interface of an outbound one is ignored, and what
 * is larger than the path's MTU is accepted and lost.
 */
#include "net.h"

#define PORT 4210

static struct packet p;
static uint32_t lan;

struct way {
    const char *name;
    const char *from, *to;
    bool outbound;
};

static const struct way ways[] = {
    {"IPv4 outbound", CLIENT4, SERVER4, true},
    {"IPv6 outbound", CLIENT6, SERVER6, true},
    {"IPv4 inbound", SERVER4, CLIENT4, false},
    {"IPv6 inbound", SERVER6, CLIENT6, false},
};

static void send_segment(HANDLE h, const struct way *way, uint32_t sequence)
{
    net_segment(&p, way->from, 40210, way->to, PORT, sequence, TCP_ACK);
    p.addr.outbound = way->outbound;
    p.addr.network.if_idx = lan;
    require("injection", net_send(h, &p));
}

static void expect(const struct way *way, const char *what, HANDLE h, uint32_t sequence, bool sniffed)
{
    bool came = receive(h, &p, PATIENCE_MS);
    char name[120];

    snprintf(name, sizeof name, "%s: %s", way->name, what);
    check(name,
          came && net_sequence(&p) == sequence && !p.addr.impostor && p.addr.sniffed == sniffed &&
              p.addr.outbound == way->outbound && !p.addr.loopback && p.addr.network.if_idx == lan,
          "came %d sequence %u impostor %d sniffed %d outbound %d loopback %d interface %u", came, net_sequence(&p),
          p.addr.impostor, p.addr.sniffed, p.addr.outbound, p.addr.loopback, p.addr.network.if_idx);
}

static void expect_nothing(const struct way *way, const char *what, HANDLE h)
{
    char name[120];

    snprintf(name, sizeof name, "%s: %s", way->name, what);
    check_nothing_queued(name, h);
}

/* A program's injection, its re-injection by a lower handle, and what the driver gives back at Close. */
static void test_chain(const struct way *way)
{
    char filter[80], other[80];
    HANDLE high, injector, middle, low, turned;

    snprintf(filter, sizeof filter, "%s and tcp.DstPort == 4210", way->outbound ? "outbound" : "inbound");
    snprintf(other, sizeof other, "%s and tcp.DstPort == 4210", way->outbound ? "inbound" : "outbound");
    low = open_or_exit(filter, LAYER_NETWORK, 10, FLAG_SNIFF);
    middle = open_or_exit(filter, LAYER_NETWORK, 50, 0);
    injector = open_or_exit(filter, LAYER_NETWORK, 100, 0);
    high = open_or_exit(filter, LAYER_NETWORK, 200, FLAG_SNIFF);
    turned = open_or_exit(other, LAYER_NETWORK, 0, FLAG_SNIFF);
    send_segment(injector, way, 1);
    expect(way, "a lower handle takes an injected packet", middle, 1, false);
    require("re-injection", net_send(middle, &p));
    expect(way, "a still lower one sees that again", low, 1, true);
    send_segment(middle, way, 2);
    expect(way, "what the middle one injects reaches the lower", low, 2, true);
    send_segment(injector, way, 3);
    send_segment(injector, way, 4);
    expect(way, "the middle one takes the next, not its own", middle, 3, false);
    expect_nothing(way, "the injector sees none of it", injector);
    expect_nothing(way, "a higher handle sees none of it", high);
    WinDivertClose(middle);
    expect(way, "a lower one sees what is given back at Close", low, 4, true);
    expect_nothing(way, "and nothing else", low);
    expect_nothing(way, "nobody sees it in the other direction", turned);
    WinDivertClose(low);
    WinDivertClose(injector);
    WinDivertClose(high);
    WinDivertClose(turned);
}

/* Turned round: its state is known in the direction in which it was injected. */
static void test_turned(void)
{
    HANDLE high = open_or_exit("inbound and tcp.SrcPort == 4210", LAYER_NETWORK, 200, FLAG_SNIFF);
    HANDLE low = open_or_exit("inbound and tcp.SrcPort == 4210", LAYER_NETWORK, 0, FLAG_SNIFF);
    HANDLE middle = open_or_exit("outbound and tcp.DstPort == 4210", LAYER_NETWORK, 50, 0);
    SOCKET s = net_connect_begin(SERVER4, PORT);

    require("a SYN", receive(middle, &p, PATIENCE_MS));
    net_segment(&p, SERVER4, PORT, CLIENT4, net_local_port(s), 77, TCP_ACK);
    p.addr.outbound = 0;
    p.addr.network.if_idx = lan;
    require("reflection", net_send(middle, &p));
    check("a reflected packet is seen by a lower inbound handle",
          receive(low, &p, PATIENCE_MS) && net_sequence(&p) == 77, "it is not");
    check_nothing_queued("and not by a higher one", high);
    closesocket(s);
    WinDivertClose(high);
    WinDivertClose(low);
    WinDivertClose(middle);
}

/* A datagram to the echo service, `size` bytes of IPv4. */
static void make_datagram(uint16_t port, const char *from, const char *to, unsigned size)
{
    memset(&p, 0, sizeof p);
    p.len = size;
    p.data[0] = 0x45;
    net_be16(p.data + 2, (uint16_t)size);
    p.data[8] = 64;
    p.data[9] = IPPROTO_UDP;
    inet_pton(AF_INET, from, p.data + 12);
    inet_pton(AF_INET, to, p.data + 16);
    net_be16(p.data + 20, port);
    net_be16(p.data + 22, ECHO_PORT);
    net_be16(p.data + 24, (uint16_t)(size - 20));
    WinDivertHelperCalcChecksums(p.data, p.len, &p.addr, 0);
}

/* One datagram is larger than the MTU, the next is not; only that one has an echo. */
static void test_mtu(void)
{
    HANDLE echoes = open_or_exit("inbound and udp.DstPort == 40211", LAYER_NETWORK, 0, FLAG_DROP);
    HANDLE seen = open_or_exit("inbound and udp.DstPort == 40211", LAYER_NETWORK, 10, FLAG_SNIFF);
    HANDLE below = open_or_exit("outbound and udp.SrcPort == 40211", LAYER_NETWORK, -10, FLAG_SNIFF);

    make_datagram(40211, CLIENT4, SERVER4, 1501);
    p.addr.outbound = 1;
    check_success("outbound, larger than the MTU: accepted", net_send(echoes, &p));
    check("and a lower handle sees it", receive(below, &p, PATIENCE_MS) && p.len == 1501, "%u bytes", p.len);
    make_datagram(40211, CLIENT4, SERVER4, 1500);
    p.addr.outbound = 1;
    p.addr.network.if_idx = 9999;
    check_success("outbound of exactly the MTU, on whatever interface: accepted", net_send(echoes, &p));
    check("it comes back, and the larger one is lost", receive(seen, &p, PATIENCE_MS) && p.len == 1500, "%u bytes come",
          p.len);
    check_nothing_queued("for nothing else does", seen);
    WinDivertClose(echoes);
    WinDivertClose(seen);
    WinDivertClose(below);
}

/* Inbound there is no MTU. */
static void test_large_inbound(void)
{
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 0, FLAG_SEND_ONLY);
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    DWORD patience = PATIENCE_MS;
    struct sockaddr_storage a;
    int len = net_address(CLIENT4, ECHO_PORT, &a), n;
    static char back[4000];

    require("bind", bind(s, (void *)&a, len) == 0);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    make_datagram(40212, SERVER4, CLIENT4, 3000);
    p.addr.network.if_idx = lan;
    check_success("inbound, larger than the MTU: accepted", net_send(h, &p));
    n = recv(s, back, sizeof back, 0);
    check("and received", n == 3000 - 28, "%d bytes, error %d", n, WSAGetLastError());
    closesocket(s);
    WinDivertClose(h);
}

int main(void)
{
    net_start();
    lan = net_interface();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        test_chain(&ways[i]);
    }
    test_turned();
    test_mtu();
    test_large_inbound();
    return check_failures != 0;
}
