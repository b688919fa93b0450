/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a card that computes sums, cuts and merges makes of packets; the runner has set what it does before.
 * usage: offloaded sums IP TRANSPORT | merged | cut
 *
 *   sums    the flags of packets both ways: "outbound 1 if offload is not requested, inbound 1 if the card did
 *           not report it as verified"; IP and TRANSPORT are 0 where the card does it
 *   merged  segments come whole, as the card was to send them and as it has put them together
 *   cut     no packet is larger than the MTU
 */
#include "pump.h"

#define MTU 1500

static struct packet p;

static void expect_flags(const char *name, HANDLE h, bool ipv6, unsigned ip, unsigned transport)
{
    bool came = receive(h, &p, PATIENCE_MS);

    check(name, came && (ipv6 || p.addr.ip_checksum == ip) && p.addr.tcp_checksum == transport, "came %d, IP %d TCP %d",
          came, p.addr.ip_checksum, p.addr.tcp_checksum);
}

static void expect_datagram(const char *name, HANDLE h, unsigned ip, unsigned transport)
{
    bool came = receive(h, &p, PATIENCE_MS);

    check(name, came && p.addr.ip_checksum == ip && p.addr.udp_checksum == transport, "came %d, IP %d UDP %d", came,
          p.addr.ip_checksum, p.addr.udp_checksum);
}

static void test_sums(const char *server, unsigned ip, unsigned transport)
{
    bool ipv6 = strchr(server, ':') != NULL;
    HANDLE out = open_or_exit("outbound and tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, 0);
    HANDLE in = open_or_exit("inbound and tcp.SrcPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, 0);
    SOCKET s = net_connect_begin(server, ECHO_PORT);

    expect_flags("a SYN's flags", out, ipv6, ip, transport);
    require("sending on", net_send(out, &p));
    expect_flags("its answer's", in, ipv6, ip, transport);
    require("sending on", net_send(in, &p));
    check("sums that flags call missing are made", net_connected(s, PATIENCE_MS), "no connection");
    closesocket(s);
    WinDivertClose(out);
    WinDivertClose(in);
}

static void test_datagram_sums(unsigned ip, unsigned transport)
{
    HANDLE out = open_or_exit("outbound and udp.DstPort == 8000", LAYER_NETWORK, 0, 0);
    HANDLE in = open_or_exit("inbound and udp.SrcPort == 8000", LAYER_NETWORK, 0, 0);
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    DWORD patience = PATIENCE_MS;
    struct sockaddr_storage a;
    int len = net_address(SERVER4, ECHO_PORT, &a);
    char byte;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    require("a datagram", sendto(s, "x", 1, 0, (void *)&a, len) == 1);
    expect_datagram("a datagram's flags", out, ip, transport);
    require("sending on", net_send(out, &p));
    expect_datagram("its echo's", in, ip, transport);
    require("sending on", net_send(in, &p));
    check("the echo has right sums", recv(s, &byte, 1, 0) == 1, "error %d", WSAGetLastError());
    closesocket(s);
    WinDivertClose(out);
    WinDivertClose(in);
}

/* The largest packet of what is queued; `sums` how many said that theirs is right. */
static unsigned largest_queued(HANDLE h, unsigned *count, unsigned *sums)
{
    unsigned largest = 0;

    WinDivertShutdown(h, SHUTDOWN_RECV);
    for (*count = *sums = 0; receive(h, &p, PATIENCE_MS); ++*count) {
        if (p.len > largest) {
            largest = p.len;
        }
        *sums += p.len > MTU && p.addr.tcp_checksum;
    }
    return largest;
}

static void open_queues(HANDLE h)
{
    WinDivertSetParam(h, PARAM_QUEUE_LENGTH, 16384);
    WinDivertSetParam(h, PARAM_QUEUE_TIME, 16000);
    WinDivertSetParam(h, PARAM_QUEUE_SIZE, 33554432);
}

/* Out: looked at only, for what is injected is never cut. In: diverted and sent on. */
static void test_segments(const char *server, bool merged)
{
    HANDLE out = open_or_exit("outbound and tcp.DstPort == 8000", LAYER_NETWORK, 0, FLAG_SNIFF);
    struct pump pump = {.batch = 64};
    unsigned largest, count, sums;

    open_queues(out);
    pump.handle = open_or_exit("inbound and tcp.SrcPort == 8000", LAYER_NETWORK, 0, 0);
    open_queues(pump.handle);
    pump_start(&pump);
    check("a megabyte there and back is identical", pump_echo_identical(net_connect(server, ECHO_PORT)), "it differs");
    largest = largest_queued(out, &count, &sums);
    if (merged) {
        check("packets leave in one piece for the card to cut", largest > MTU, "%u bytes, of %u packets", largest,
              count);
        check_equal("none of those has its sum yet", sums, 0);
        check("packets come as the card has merged them", pump.largest_packet > MTU, "%llu bytes", pump.largest_packet);
    } else {
        check("no packet leaves that is larger than the MTU", largest == MTU, "%u bytes, of %u packets", largest,
              count);
        check_equal("nor comes one", pump.largest_packet, MTU);
    }
    pump_stop(&pump, "the pump stops cleanly");
    WinDivertClose(out);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    unsigned ip = argc > 3 && argv[2][0] == '1', transport = argc > 3 && argv[3][0] == '1';

    net_start();
    if (!strcmp(what, "sums")) {
        test_sums(SERVER4, ip, transport);
        test_sums(SERVER6, ip, transport);
        test_datagram_sums(ip, transport);
    } else {
        test_segments(SERVER4, !strcmp(what, "merged"));
        test_segments(SERVER6, !strcmp(what, "merged"));
    }
    return check_failures != 0;
}
