/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The TCP table, with sockets of this process on loopback. */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "check.h"
#include "windows/tcptable.h"

#include <stdlib.h>

static struct tcptable *table;

struct pair {
    SOCKET listener, client, server;
    struct tuple tuple; /* the client's */
};

static void get_name(SOCKET s, ip_addr *addr, be16 *port)
{
    struct sockaddr_storage name;
    int size = sizeof name;
    getsockname(s, (struct sockaddr *)&name, &size);
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)&name;
        *addr = ip_addr_from_ip4((const uint8_t *)&a->sin_addr);
        port->wire = a->sin_port;
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)(const void *)&name;
        *addr = ip_addr_from_ip6((const uint8_t *)&a->sin6_addr);
        port->wire = a->sin6_port;
    }
}

static bool connect_pair(uint32_t family, struct pair *p)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *a = family == FAMILY_IP4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
    int size = family == FAMILY_IP4 ? (int)sizeof a4 : (int)sizeof a6;
    p->listener = socket(a->sa_family, SOCK_STREAM, 0);
    if (bind(p->listener, a, size) || listen(p->listener, 5) || getsockname(p->listener, a, &size)) {
        return false;
    }
    p->client = socket(a->sa_family, SOCK_STREAM, 0);
    if (connect(p->client, a, size)) {
        return false;
    }
    p->server = accept(p->listener, NULL, NULL);
    p->tuple.family = family;
    get_name(p->client, &p->tuple.src, &p->tuple.src_port);
    get_name(p->server, &p->tuple.dst, &p->tuple.dst_port);
    return p->server != INVALID_SOCKET;
}

static void close_pair(struct pair *p)
{
    closesocket(p->client);
    closesocket(p->server);
    closesocket(p->listener);
}

/* Wine 8 lists every socket with pid 0; then an owner cannot be tested. */
static bool owners_are_known(uint32_t pid)
{
    if (pid == 0) {
        SKIP("this system's table names no owners");
    }
    return pid != 0;
}

static uint32_t owner_of(const struct tuple *t)
{
    uint32_t pid = 0;
    CHECK(tcptable_read(table, true));
    tcptable_owners(table, t, 1, &pid);
    return pid;
}

static void check_owner(uint32_t family)
{
    struct pair p;
    CHECK(connect_pair(family, &p));
    struct tuple server = tuple_reversed(&p.tuple);
    uint32_t owner = owner_of(&p.tuple);
    CHECK(owner == 0 || owner == GetCurrentProcessId());
    if (owners_are_known(owner)) {
        CHECK(owner_of(&server) == GetCurrentProcessId());
    }
    struct tuple stranger = p.tuple;
    stranger.dst_port = be16_from_host(1);
    CHECK(owner_of(&stranger) == 0);
    close_pair(&p);
}

static void owner_of_ip4(void)
{
    check_owner(FAMILY_IP4);
}

static void owner_of_ip6(void)
{
    check_owner(FAMILY_IP6);
}

struct search {
    struct tuple wanted;
    uint32_t pid;
    int found, others_connected;
};

static void look(struct search *s, const struct tuple *listener, uint32_t pid)
{
    if (listener->family == s->wanted.family && listener->src_port.wire == s->wanted.src_port.wire &&
        ip_addr_equal(&listener->src, &s->wanted.src)) {
        s->found++;
        s->pid = pid;
    }
    if (listener->dst_port.wire || !ip_addr_is_any(&listener->dst, listener->family)) {
        s->others_connected++;
    }
}

/* Reads the table and looks at the rows that listen, or at all. */
static void look_at(struct search *s, bool all)
{
    struct tcptable_row row;
    CHECK(tcptable_read(table, all));
    while (tcptable_next(table, &row)) {
        CHECK(all || row.listens);
        if (all != row.listens) {
            look(s, &row.tuple, row.pid);
        }
    }
}

static void check_listeners(uint32_t family)
{
    struct pair p;
    CHECK(connect_pair(family, &p));
    struct search s = {.wanted.family = family};
    get_name(p.listener, &s.wanted.src, &s.wanted.src_port);
    look_at(&s, false);
    CHECK(s.found == 1 && s.others_connected == 0);
    CHECK(s.pid == 0 || s.pid == GetCurrentProcessId());
    get_name(p.client, &s.wanted.src, &s.wanted.src_port); /* a connection is no listener */
    s.found = 0;
    look_at(&s, false);
    CHECK(s.found == 0);
    look_at(&s, true);
    CHECK(s.found == 1); /* but it is a socket */
    get_name(p.listener, &s.wanted.src, &s.wanted.src_port);
    s.found = 0;
    close_pair(&p);
    look_at(&s, false);
    CHECK(s.found == 0);
}

static void listeners_of_ip4(void)
{
    check_listeners(FAMILY_IP4);
}

static void listeners_of_ip6(void)
{
    check_listeners(FAMILY_IP6);
}

static int count_all(void)
{
    struct tcptable_row row;
    int count = 0;
    CHECK(tcptable_read(table, false));
    while (tcptable_next(table, &row)) {
        count++;
    }
    return count;
}

/* More sockets than the first snapshot had room for. */
static void grows_with_the_table(void)
{
    enum { MANY = 400 };
    static SOCKET sockets[MANY];
    int before = count_all();
    for (int i = 0; i < MANY; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(!bind(sockets[i], (struct sockaddr *)&a, sizeof a) && !listen(sockets[i], 1));
    }
    CHECK(count_all() == before + MANY);
    for (int i = 0; i < MANY; i++) {
        closesocket(sockets[i]);
    }
}

int main(void)
{
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    table = tcptable_open();
    if (!table) {
        return 2;
    }
    RUN(owner_of_ip4);
    RUN(owner_of_ip6);
    RUN(listeners_of_ip4);
    RUN(listeners_of_ip6);
    RUN(grows_with_the_table);
    tcptable_close(table);
    tcptable_close(NULL);
    return checks_done();
}
