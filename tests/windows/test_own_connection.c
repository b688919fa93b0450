/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A connection of the library's own (S8), on a machine whose one address is 10.99.0.1. Nothing leads it here: a test that
 * wants it to arrive gives it the listener's address as its destination.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "check.h"
#include "windows/own_connection.h"

enum { ROUNDS = 500, ROUND_MS = 10 }; /* for what is to happen; what is not to happen has had ROUNDS_AGAINST */
enum { ROUNDS_AGAINST = 20 };

static struct winsock *winsock;

static ip_addr own_address(void)
{
    return ip_addr_from_ip4((const uint8_t[]){10, 99, 0, 1});
}

static struct own_connection bound(void)
{
    struct own_connection c = {.reflect = true, .words = {"question", "answers!"}};
    struct tuple route = {.family = FAMILY_IP4};
    ip_addr own = own_address();
    CHECK(own_connection_find_route(winsock, &route, &own, 1));
    CHECK(own_connection_bind(winsock, &c, &route) && c.listener_port && be16_to_host(c.tuple.src_port));
    return c;
}

static void lead_to(struct own_connection *c, uint16_t port)
{
    c->tuple.dst = own_address();
    c->tuple.dst_port = be16_from_host(port);
}

static SOCKET open_at(uint16_t port, bool listening, uint16_t *got)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a630001)};
    int size = sizeof at;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    if (listening) {
        CHECK(bind(s, (struct sockaddr *)&at, size) == 0 && listen(s, 4) == 0);
    } else {
        CHECK(connect(s, (struct sockaddr *)&at, size) == 0);
    }
    CHECK(getsockname(s, (struct sockaddr *)&at, &size) == 0);
    *got = ntohs(at.sin_port);
    return s;
}

static void a_neighbour_is_found_where_there_is_no_other_way_out(void)
{
    ip_addr own = own_address(), neighbour = ip_addr_from_ip4((const uint8_t[]){10, 99, 0, 3});
    struct tuple t = {.family = FAMILY_IP4}, u = {.family = FAMILY_IP6};
    CHECK(own_connection_find_route(winsock, &t, &own, 1));
    CHECK(ip_addr_equal(&t.src, &own) && ip_addr_equal(&t.dst, &neighbour));
    CHECK(!own_connection_find_route(winsock, &t, &own, 0));
    CHECK(!own_connection_find_route(winsock, &u, NULL, 0));
}

static void one_that_is_led_here_arrives_and_leaves_nothing(void)
{
    struct own_connection c = bound();
    uint16_t client = be16_to_host(c.tuple.src_port), listener = c.listener_port;
    lead_to(&c, c.listener_port);
    own_connection_begin(winsock, &c);
    for (int i = 0; i < ROUNDS && !c.done && !c.error; i++) {
        own_connections_await(winsock, &c, 1, ROUND_MS);
    }
    CHECK(c.arrived && c.connected && c.done && !c.error);
    own_connection_close(winsock, &c);
    /* Both ports are free at once: the next one has the same. */
    struct tuple route = c.tuple;
    CHECK(own_connection_bind(winsock, &c, &route));
    CHECK(be16_to_host(c.tuple.src_port) == client && c.listener_port == listener);
    own_connection_close(winsock, &c);
}

static void one_that_nobody_answers_is_refused(void)
{
    struct own_connection c = bound();
    lead_to(&c, 9);
    own_connection_begin(winsock, &c);
    for (int i = 0; i < ROUNDS && !c.error; i++) {
        own_connections_await(winsock, &c, 1, ROUND_MS);
    }
    CHECK(own_connection_was_refused(&c) && !c.kept_in && !c.connected && !c.arrived);
    own_connection_close(winsock, &c);
}

static void s7_a_stranger_is_not_let_in(void)
{
    uint16_t port, its_own;
    SOCKET elsewhere = open_at(0, true, &port);
    struct own_connection c = bound();
    lead_to(&c, port);
    own_connection_begin(winsock, &c);
    SOCKET stranger = open_at(c.listener_port, false, &its_own);
    char byte;
    DWORD patience = ROUND_MS;
    int got = -1;
    setsockopt(stranger, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
    for (int i = 0; i < ROUNDS && got < 0; i++) {
        own_connections_await(winsock, &c, 1, ROUND_MS);
        got = recv(stranger, &byte, 1, 0);
        got = got < 0 && WSAGetLastError() == WSAECONNRESET ? 0 : got;
    }
    CHECK(got == 0 && !c.arrived && !c.done && !c.error);
    closesocket(stranger);
    closesocket(elsewhere);
    own_connection_close(winsock, &c);
}

/* Its peer accepts, and then says nothing, half of its word, or another one. */
static void s10_a_peer_that_stops_holds_up_nothing(void)
{
    static const char *const said[] = {"", "answ", "answers?"};
    for (int i = 0; i < 3; i++) {
        uint16_t port;
        SOCKET peer = open_at(0, true, &port);
        struct own_connection c = bound();
        lead_to(&c, port);
        own_connection_begin(winsock, &c);
        SOCKET accepted = accept(peer, NULL, NULL);
        CHECK(send(accepted, said[i], (int)strlen(said[i]), 0) == (int)strlen(said[i]));
        for (int k = 0; k < ROUNDS && !c.error && (i == 2 || k < ROUNDS_AGAINST || c.heard[1] < strlen(said[i])); k++) {
            own_connections_await(winsock, &c, 1, ROUND_MS);
        }
        CHECK(c.connected && !c.arrived && !c.done);
        CHECK((c.error == WSAECONNABORTED) == (i == 2));
        closesocket(accepted);
        closesocket(peer);
        own_connection_close(winsock, &c);
    }
}

int main(void)
{
    WSADATA data;
    winsock = winsock_open();
    if (!winsock || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return 2;
    }
    RUN(a_neighbour_is_found_where_there_is_no_other_way_out);
    RUN(one_that_is_led_here_arrives_and_leaves_nothing);
    RUN(one_that_nobody_answers_is_refused);
    RUN(s7_a_stranger_is_not_let_in);
    RUN(s10_a_peer_that_stops_holds_up_nothing);
    winsock_close(winsock);
    return checks_done();
}
