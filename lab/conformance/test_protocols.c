/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Other protocols than TCP. "udp, icmp and icmpv6 are true for packets with such a header"; a handle takes
 * and sends on their packets as those of TCP; ICMP sums are never computed by the driver.
 */
#include "net.h"

#define ICMP_ECHO 8
#define ICMP_ECHO_REPLY 0

static struct packet p;

/* A datagram from a new socket to the server's echo, and back. */
static SOCKET datagram(const char *server, const char *text)
{
    struct sockaddr_storage to;
    int len = net_address(server, ECHO_PORT, &to);
    SOCKET s = socket(to.ss_family, SOCK_DGRAM, 0);

    require("a datagram", sendto(s, text, (int)strlen(text), 0, (void *)&to, len) == (int)strlen(text));
    return s;
}

static bool echoed(SOCKET s, const char *text)
{
    DWORD patience = PATIENCE_MS;
    char back[64] = "";
    int n;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    n = recv(s, back, sizeof back, 0);
    return n == (int)strlen(text) && !memcmp(back, text, (size_t)n);
}

/* Both ways through handles that take it and send it on. */
static void test_udp(const char *server)
{
    HANDLE there = open_or_exit("outbound and udp.DstPort == 8000", LAYER_NETWORK, 0, 0);
    HANDLE back = open_or_exit("inbound and udp and udp.SrcPort == 8000", LAYER_NETWORK, 0, 0);
    bool ipv6 = strchr(server, ':') != NULL;
    SOCKET s = datagram(server, "hello");

    check_success("a datagram is diverted", receive(there, &p, PATIENCE_MS));
    check_equal("of its length", p.len, (ipv6 ? 40 : 20) + 8 + 5);
    check_equal("as outbound", p.addr.outbound, 1);
    check_equal("of its family", p.addr.ipv6, ipv6);
    check_success("it is sent on", net_send(there, &p));
    check_success("its echo is diverted", receive(back, &p, PATIENCE_MS));
    check_equal("as inbound", p.addr.outbound, 0);
    check_success("it is sent on, too", net_send(back, &p));
    check("the program gets its echo", echoed(s, "hello"), "error %d", WSAGetLastError());
    closesocket(s);
    WinDivertClose(there);
    s = datagram(server, "again");
    check_success("a sum that the driver computes", receive(back, &p, PATIENCE_MS));
    p.data[(ipv6 ? 40 : 20) + 6] ^= 0xff;
    p.addr.udp_checksum = 0;
    require("sending on", net_send(back, &p));
    check("is right", echoed(s, "again"), "error %d", WSAGetLastError());
    closesocket(s);
    WinDivertClose(back);
}

static void test_icmp(void)
{
    HANDLE h = open_or_exit("inbound and icmp.Type == 0", LAYER_NETWORK, 0, 0);
    HANDLE sniffer = open_or_exit("icmp", LAYER_NETWORK, -10, FLAG_SNIFF);

    memset(&p, 0, sizeof p);
    p.len = 20 + 8 + 4;
    p.data[0] = 0x45;
    net_be16(p.data + 2, (uint16_t)p.len);
    p.data[8] = 64;
    p.data[9] = IPPROTO_ICMP;
    inet_pton(AF_INET, CLIENT4, p.data + 12);
    inet_pton(AF_INET, SERVER4, p.data + 16);
    p.data[20] = ICMP_ECHO;
    net_be32(p.data + 28, 0x12345678);
    p.addr.outbound = 1;
    WinDivertHelperCalcChecksums(p.data, p.len, &p.addr, 0);
    check_success("an echo request is injected", net_send(h, &p));
    check_success("a lower handle sees it", receive(sniffer, &p, PATIENCE_MS));
    check_equal("as a request", p.data[20], ICMP_ECHO);
    check_success("the reply is diverted", receive(h, &p, PATIENCE_MS));
    check_equal("as a reply", p.data[20], ICMP_ECHO_REPLY);
    check_equal("to this request", net_get32(p.data + 28), 0x12345678);
    check_nothing_queued("what is not sent on is seen by nobody", sniffer);
    WinDivertClose(h);
    WinDivertClose(sniffer);
}

/* "A test on an absent header fails, whatever its operator." */
static void test_mixed(void)
{
    HANDLE all = open_or_exit("outbound and remotePort == 8000", LAYER_NETWORK, 10, FLAG_SNIFF);
    HANDLE not_tcp = open_or_exit("outbound and not tcp and remotePort == 8000", LAYER_NETWORK, 10, FLAG_SNIFF);
    HANDLE other_port =
        open_or_exit("outbound and tcp.DstPort != 80 and remotePort == 8000", LAYER_NETWORK, 10, FLAG_SNIFF);
    SOCKET s = datagram(SERVER4, "mixed"), t;

    require("the echo", echoed(s, "mixed"));
    t = net_connect(SERVER4, ECHO_PORT);
    check_success("a filter of both sees the datagram", receive(all, &p, PATIENCE_MS));
    check_equal("first", p.data[9], IPPROTO_UDP);
    check_success("and the connection", receive(all, &p, PATIENCE_MS));
    check_equal("then", p.data[9], IPPROTO_TCP);
    check_success("one without TCP the datagram", receive(not_tcp, &p, PATIENCE_MS));
    check_nothing_queued("alone", not_tcp);
    check_success("one of a TCP field", receive(other_port, &p, PATIENCE_MS));
    check_equal("never a datagram", p.data[9], IPPROTO_TCP);
    closesocket(s);
    closesocket(t);
    WinDivertClose(all);
    WinDivertClose(not_tcp);
    WinDivertClose(other_port);
}

int main(void)
{
    net_start();
    test_udp(SERVER4);
    test_udp(SERVER6);
    test_icmp();
    test_mixed();
    return check_failures != 0;
}
