/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What Windows refuses or loses, the lab must refuse or lose.
 *
 * "Vanishes" is shown by a SYN that nobody answers although a listener is there, while the next one,
 * sent in the right way, is answered.
 */
#include "net.h"

static struct packet p;
static uint32_t lan;
static HANDLE injector;

static void test_refused(void)
{
    net_segment(&p, CLIENT4, 40400, "127.0.0.1", 4400, 1, TCP_SYN);
    check_error("outbound from outside to 127.0.0.1", net_send(injector, &p), 1214);
    net_segment(&p, SERVER4, 4400, CLIENT4, 40400, 1, TCP_ACK);
    p.addr.outbound = 0;
    check_error("inbound without an interface", net_send(injector, &p), 87);
    p.addr.network.if_idx = 9999;
    check_error("inbound on an unknown interface", net_send(injector, &p), 87);
    p.addr.network.if_idx = lan;
    check_success("inbound on a known interface", net_send(injector, &p));
}

/* A SYN from port 40401 that must get no answer, then one from 40402 that must. */
static void expect_lost(const char *name, uint16_t port, struct packet *lost, struct packet *good)
{
    char filter[80], detail[120];
    HANDLE answers;
    bool answered;

    snprintf(filter, sizeof filter, "tcp.SrcPort == %u and tcp.Syn and tcp.Ack", port);
    answers = open_or_exit(filter, LAYER_NETWORK, 0, FLAG_SNIFF);
    snprintf(detail, sizeof detail, "%s is accepted", name);
    check_success(detail, net_send(injector, lost));
    require("sending the control packet", net_send(injector, good));
    answered = receive(answers, &p, PATIENCE_MS);
    snprintf(detail, sizeof detail, "%s is lost", name);
    check(detail, answered && net_get16(net_tcp(&p) + 2) == 40402,
          answered ? "it was answered" : "the control packet was not answered either");
    snprintf(detail, sizeof detail, "%s: nothing but the control packet", name);
    check_nothing_queued(detail, answers);
    WinDivertClose(answers);
}

static void test_lost_inbound(const char *name, const char *address)
{
    SOCKET listener = net_listen(address, 0, false);
    uint16_t port = net_local_port(listener);
    static struct packet lost, good;

    net_segment(&lost, address, 40401, address, port, 1, TCP_SYN);
    lost.addr.outbound = 0;
    lost.addr.network.if_idx = lan;
    net_segment(&good, address, 40402, address, port, 1, TCP_SYN);
    expect_lost(name, port, &lost, &good);
    closesocket(listener);
}

/* IPv6 has no 1214: the packet is accepted, a lower handle sees it, and nobody receives it. */
static void test_lost_outbound(void)
{
    SOCKET listener = net_listen("::1", 0, false);
    uint16_t port = net_local_port(listener);
    static struct packet lost, good;
    HANDLE below;
    char filter[80];

    snprintf(filter, sizeof filter, "outbound and tcp.DstPort == %u and tcp.SrcPort == 40401", port);
    below = open_or_exit(filter, LAYER_NETWORK, -100, FLAG_SNIFF);
    net_segment(&lost, CLIENT6, 40401, "::1", port, 1, TCP_SYN);
    net_segment(&good, "::1", 40402, "::1", port, 1, TCP_SYN);
    expect_lost("outbound from outside to ::1", port, &lost, &good);
    check_success("outbound from outside to ::1: a lower handle sees it", receive(below, &p, PATIENCE_MS));
    closesocket(listener);
    WinDivertClose(below);
}

static void test_checksums(void)
{
    static struct packet bad, good;

    net_segment(&bad, CLIENT4, 40401, SERVER4, ECHO_PORT, 1, TCP_SYN);
    net_segment(&good, CLIENT4, 40402, SERVER4, ECHO_PORT, 1, TCP_SYN);
    net_tcp(&bad)[16] ^= 1;
    expect_lost("a wrong TCP sum said to be right", ECHO_PORT, &bad, &good);
    net_segment(&bad, CLIENT4, 40401, SERVER4, ECHO_PORT, 1, TCP_SYN);
    bad.data[10] ^= 1;
    expect_lost("a wrong IP sum said to be right", ECHO_PORT, &bad, &good);
    net_segment(&bad, CLIENT6, 40401, SERVER6, ECHO_PORT, 1, TCP_SYN);
    net_segment(&good, CLIENT6, 40402, SERVER6, ECHO_PORT, 1, TCP_SYN);
    net_tcp(&bad)[16] ^= 1;
    expect_lost("a wrong TCP sum in IPv6", ECHO_PORT, &bad, &good);
}

static void test_computed_checksums(const char *name, const char *from, const char *to)
{
    HANDLE answers =
        open_or_exit("inbound and tcp.Syn and tcp.Ack and tcp.DstPort == 40403", LAYER_NETWORK, 0, FLAG_SNIFF);
    static struct packet before;
    uint8_t *sum;

    net_segment(&p, from, 40403, to, ECHO_PORT, 1, TCP_SYN);
    sum = net_tcp(&p) + 16;
    sum[0] ^= 0x55;
    if (!p.addr.ipv6) {
        p.data[10] ^= 0x55;
    }
    p.addr.ip_checksum = p.addr.tcp_checksum = p.addr.udp_checksum = 0;
    before = p;
    require("sending", net_send(injector, &p));
    check("the caller's buffer is left alone", !memcmp(&before, &p, sizeof p), "it was changed");
    check(name, receive(answers, &p, PATIENCE_MS), "no answer came");
    WinDivertClose(answers);
}

/* A real connection to a local listener: captured once, as outbound, marked as loopback. */
static void test_loopback_capture(const char *name, const char *address)
{
    SOCKET listener = net_listen(address, 0, false), s;
    char filter[80], detail[120];
    HANDLE all, inbound;
    bool seen;

    snprintf(filter, sizeof filter, "tcp.DstPort == %u and tcp.Syn", net_local_port(listener));
    all = open_or_exit(filter, LAYER_NETWORK, 0, FLAG_SNIFF);
    snprintf(filter, sizeof filter, "inbound and loopback and tcp.DstPort == %u", net_local_port(listener));
    inbound = open_or_exit(filter, LAYER_NETWORK, 0, FLAG_SNIFF);
    s = net_connect(address, net_local_port(listener));
    seen = receive(all, &p, PATIENCE_MS);
    snprintf(detail, sizeof detail, "%s: captured as outbound loopback", name);
    check(detail, seen && p.addr.outbound && p.addr.loopback, "seen %d outbound %d loopback %d", seen, p.addr.outbound,
          p.addr.loopback);
    snprintf(detail, sizeof detail, "%s: captured once", name);
    check_nothing_queued(detail, all);
    snprintf(detail, sizeof detail, "%s: never inbound", name);
    check_nothing_queued(detail, inbound);
    closesocket(s);
    closesocket(listener);
    WinDivertClose(all);
    WinDivertClose(inbound);
}

static void test_wire_capture(void)
{
    HANDLE h = open_or_exit("tcp.SrcPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, FLAG_SNIFF);
    SOCKET s = net_connect(SERVER4, ECHO_PORT);

    check_success("an answer from the wire", receive(h, &p, PATIENCE_MS));
    check_equal("is inbound", p.addr.outbound, 0);
    check_equal("is no loopback", p.addr.loopback, 0);
    check_equal("comes in at the LAN's interface", p.addr.network.if_idx, lan);
    closesocket(s);
    WinDivertClose(h);
}

int main(void)
{
    net_start();
    lan = net_interface();
    injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);
    test_refused();
    test_lost_outbound();
    test_lost_inbound("inbound to 127.0.0.1", "127.0.0.1");
    test_lost_inbound("inbound to ::1", "::1");
    test_lost_inbound("inbound from own address to itself", CLIENT4);
    test_checksums();
    test_computed_checksums("IPv4 sums are computed", CLIENT4, SERVER4);
    test_computed_checksums("IPv6 sums are computed", CLIENT6, SERVER6);
    test_loopback_capture("127.0.0.1", "127.0.0.1");
    test_loopback_capture("::1", "::1");
    test_loopback_capture("own IPv4 address", CLIENT4);
    test_loopback_capture("own IPv6 address", CLIENT6);
    test_wire_capture();
    return check_failures != 0;
}
