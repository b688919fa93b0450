/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A datagram larger than the MTU, and its echo. "Outbound: always individual fragments. Inbound: default reassembled
 * packets, raw fragments invisible; with FRAGMENTS raw fragments, reassembled invisible. A non-first fragment has no
 * UDP header: port tests fail." The group that Windows shows beside the fragments is nobody's. The runner has had
 * the lab make fragments as Windows does before.
 */
#include "net.h"

#define PAYLOAD 4000
#define PIECES 3 /* of it, with an MTU of 1500 */

static struct packet p;

struct family {
    const char *server;
    const char *outbound, *inbound; /* filters */
    unsigned whole;                 /* length of the datagram in one packet */
};

static const struct family families[] = {
    {SERVER4, "outbound and ip.DstAddr == 10.77.0.2 and ip.Protocol == 17",
     "inbound and ip.SrcAddr == 10.77.0.2 and ip.Protocol == 17", 20 + 8 + PAYLOAD},
    {SERVER6, "outbound and ipv6.DstAddr == fd77::2 and (udp or fragment)",
     "inbound and ipv6.SrcAddr == fd77::2 and (udp or fragment)", 40 + 8 + PAYLOAD},
};

static SOCKET send_datagram(const struct family *family)
{
    static char data[PAYLOAD];
    DWORD patience = PATIENCE_MS;
    struct sockaddr_storage a;
    int len = net_address(family->server, ECHO_PORT, &a);
    SOCKET s = socket(a.ss_family, SOCK_DGRAM, 0);

    for (int i = 0; i < PAYLOAD; i++) {
        data[i] = (char)(i * 7);
    }
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    require("a datagram", sendto(s, data, PAYLOAD, 0, (void *)&a, len) == PAYLOAD);
    return s;
}

static void expect_echo(const char *name, SOCKET s)
{
    static char back[PAYLOAD + 1];
    int n = recv(s, back, sizeof back, 0), wrong = 0;

    for (int i = 0; i < n; i++) {
        wrong += back[i] != (char)(i * 7);
    }
    check(name, n == PAYLOAD && !wrong, "%d bytes, %d wrong, error %d", n, wrong, WSAGetLastError());
    closesocket(s);
}

/* Receives the pieces of one datagram and sends them on, if told to; they must be all of it. */
static void expect_pieces(const char *name, HANDLE h, bool send_on)
{
    unsigned largest = 0, headers = 0, count;
    char text[100];

    for (count = 0; count < PIECES && receive(h, &p, PATIENCE_MS); count++) {
        unsigned fragment = p.data[0] >> 4 == 4 ? net_get16(p.data + 6) & 0x3fff : p.data[6] == 44;

        headers += p.data[0] >> 4 == 4 ? !(fragment & 0x1fff) : !(net_get16(p.data + 42) & 0xfff8);
        if (p.len > largest) {
            largest = p.len;
        }
        if (!fragment) {
            break;
        }
        if (send_on) {
            require("sending on", net_send(h, &p));
        }
    }
    snprintf(text, sizeof text, "%s: single fragments", name);
    check(text, count == PIECES && largest <= 1500, "%u, the last or largest of %u bytes", count, largest);
    snprintf(text, sizeof text, "%s: one of them the first", name);
    check_equal(text, headers, 1);
}

static void test_seen(const struct family *family)
{
    HANDLE out = open_or_exit(family->outbound, LAYER_NETWORK, 0, FLAG_SNIFF);
    HANDLE in = open_or_exit(family->inbound, LAYER_NETWORK, 0, FLAG_SNIFF);
    HANDLE raw = open_or_exit(family->inbound, LAYER_NETWORK, 0, FLAG_SNIFF | FLAG_FRAGMENTS);
    HANDLE port = open_or_exit("outbound and udp.DstPort == 8000", LAYER_NETWORK, 0, FLAG_SNIFF);
    SOCKET s = send_datagram(family);

    expect_echo("the datagram has its echo", s);
    expect_pieces("outbound", out, false);
    check_nothing_queued("outbound: no group, and nothing twice", out);
    check("a port's filter sees the first", receive(port, &p, PATIENCE_MS) && p.len <= 1500, "%u bytes", p.len);
    check_nothing_queued("alone", port);
    check("inbound: the whole datagram", receive(in, &p, PATIENCE_MS) && p.len == family->whole, "%u bytes", p.len);
    check_nothing_queued("inbound: and no fragment", in);
    expect_pieces("inbound with FRAGMENTS", raw, false);
    check_nothing_queued("inbound with FRAGMENTS: not the whole one", raw);
    WinDivertClose(out);
    WinDivertClose(in);
    WinDivertClose(raw);
    WinDivertClose(port);
}

/* Taken and sent on. */
static void test_diverted(const struct family *family, bool raw)
{
    HANDLE out = open_or_exit(family->outbound, LAYER_NETWORK, 0, 0);
    HANDLE in = open_or_exit(family->inbound, LAYER_NETWORK, 0, raw ? FLAG_FRAGMENTS : 0);
    SOCKET s = send_datagram(family);

    expect_pieces("diverted outbound", out, true);
    if (raw) {
        expect_pieces("diverted inbound with FRAGMENTS", in, true);
    } else {
        check("diverted inbound: whole", receive(in, &p, PATIENCE_MS) && p.len == family->whole, "%u bytes", p.len);
        require("sending on", net_send(in, &p));
    }
    expect_echo("what is sent on has its echo", s);
    WinDivertClose(out);
    WinDivertClose(in);
}

int main(void)
{
    net_start();
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        test_seen(&families[i]);
        test_diverted(&families[i], false);
        test_diverted(&families[i], true);
    }
    return check_failures != 0;
}
