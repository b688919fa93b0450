/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sockets and hand-made packets for the conformance programs.
 *
 * The server host runs server.py: port 8000 echoes (UDP, too), port 8001 takes a line "ADDRESS PORT" and
 * connects to it.
 */
#ifndef LAB_NET_H
#define LAB_NET_H

#include "check.h"

#define CLIENT4 "10.77.0.1"
#define SERVER4 "10.77.0.2"
#define CLIENT6 "fd77::1"
#define SERVER6 "fd77::2"
#define ECHO_PORT 8000
#define CALL_BACK_PORT 8001

#define TCP_SYN 0x02
#define TCP_ACK 0x10
#define TCP_HEADER 20

static inline void net_start(void)
{
    WSADATA data;

    require("WSAStartup", WSAStartup(MAKEWORD(2, 2), &data) == 0);
}

static inline int net_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *in4 = (void *)out;
    struct sockaddr_in6 *in6 = (void *)out;

    memset(out, 0, sizeof *out);
    if (strchr(text, ':')) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        require(text, inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
        return sizeof *in6;
    }
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    require(text, inet_pton(AF_INET, text, &in4->sin_addr) == 1);
    return sizeof *in4;
}

static inline uint16_t net_local_port(SOCKET s)
{
    struct sockaddr_storage a;
    int len = sizeof a;

    require("getsockname", getsockname(s, (void *)&a, &len) == 0);
    return ntohs(((struct sockaddr_in *)&a)->sin_port); /* same place in both families */
}

/* A listening socket; port 0 lets the system choose. */
static inline SOCKET net_listen(const char *address, uint16_t port, bool dual_stack)
{
    struct sockaddr_storage a;
    int len = net_address(address, port, &a);
    SOCKET s = socket(a.ss_family, SOCK_STREAM, 0);
    DWORD v6_only = !dual_stack;

    if (a.ss_family == AF_INET6) {
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&v6_only, sizeof v6_only);
    }
    require("bind", bind(s, (void *)&a, len) == 0);
    require("listen", listen(s, 5) == 0);
    return s;
}

/* Begins to connect, without waiting; net_connected tells the outcome. */
static inline SOCKET net_connect_begin(const char *address, uint16_t port)
{
    struct sockaddr_storage a;
    int len = net_address(address, port, &a);
    SOCKET s = socket(a.ss_family, SOCK_STREAM, 0);
    u_long on = 1;

    require("socket", s != INVALID_SOCKET);
    ioctlsocket(s, FIONBIO, &on);
    require("connect", connect(s, (void *)&a, len) == 0 || WSAGetLastError() == WSAEWOULDBLOCK);
    return s;
}

static inline bool net_connected(SOCKET s, int ms)
{
    fd_set writable, failed;
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};
    u_long off = 0;

    FD_ZERO(&writable);
    FD_SET(s, &writable);
    FD_ZERO(&failed);
    FD_SET(s, &failed);
    if (select(0, NULL, &writable, &failed, &limit) <= 0 || !FD_ISSET(s, &writable)) {
        return false;
    }
    ioctlsocket(s, FIONBIO, &off);
    return true;
}

static inline SOCKET net_connect(const char *address, uint16_t port)
{
    SOCKET s = net_connect_begin(address, port);

    require("connection", net_connected(s, PATIENCE_MS));
    return s;
}

static inline void net_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void net_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint16_t net_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t net_get32(const uint8_t *p)
{
    return (uint32_t)net_get16(p) << 16 | net_get16(p + 2);
}

static inline uint8_t *net_tcp(struct packet *p)
{
    return p->data + (p->data[0] >> 4 == 4 ? (p->data[0] & 15) * 4 : 40);
}

static inline uint32_t net_sequence(struct packet *p)
{
    return net_get32(net_tcp(p) + 4);
}

/* A bare TCP segment of either family, outbound, with right checksums that are said to be right. */
static inline void net_segment(struct packet *p, const char *from, uint16_t from_port, const char *to, uint16_t to_port,
                               uint32_t sequence, uint8_t flags)
{
    int family = strchr(from, ':') ? AF_INET6 : AF_INET;
    int header = family == AF_INET6 ? 40 : 20;
    uint8_t *tcp = p->data + header;

    memset(p->data, 0, (size_t)header + TCP_HEADER);
    memset(&p->addr, 0, sizeof p->addr);
    p->len = (unsigned)header + TCP_HEADER;
    if (family == AF_INET6) {
        p->data[0] = 0x60;
        net_be16(p->data + 4, TCP_HEADER);
        p->data[6] = IPPROTO_TCP;
        p->data[7] = 64;
        inet_pton(family, from, p->data + 8);
        inet_pton(family, to, p->data + 24);
    } else {
        p->data[0] = 0x45;
        net_be16(p->data + 2, (uint16_t)p->len);
        net_be16(p->data + 4, 1);
        p->data[8] = 64;
        p->data[9] = IPPROTO_TCP;
        inet_pton(family, from, p->data + 12);
        inet_pton(family, to, p->data + 16);
    }
    net_be16(tcp, from_port);
    net_be16(tcp + 2, to_port);
    net_be32(tcp + 4, sequence);
    tcp[12] = TCP_HEADER / 4 << 4;
    tcp[13] = flags;
    net_be16(tcp + 14, 1024);
    p->addr.outbound = 1;
    p->addr.ipv6 = family == AF_INET6;
    WinDivertHelperCalcChecksums(p->data, p->len, &p->addr, 0);
}

static inline BOOL net_send(HANDLE h, struct packet *p)
{
    return WinDivertSend(h, p->data, p->len, NULL, &p->addr);
}

/* The interface that leads to the server, as a captured packet names it. */
static inline uint32_t net_interface(void)
{
    HANDLE h = open_or_exit("outbound and tcp.Syn and not loopback", LAYER_NETWORK, 0, FLAG_SNIFF);
    SOCKET s = net_connect(SERVER4, ECHO_PORT);
    static struct packet p;

    require("a SYN to the server", receive(h, &p, PATIENCE_MS));
    closesocket(s);
    WinDivertClose(h);
    return p.addr.network.if_idx;
}

#endif
