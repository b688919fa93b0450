/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The agent's proxy of datagrams.
 *
 *   datagram_proxy at [mode] [instance]   receives; what it does with a datagram: relay (to where it was going, from a
 *                          socket for each peer, and answers back), echo, hole (nothing)
 *   datagram_peers         who has sent to it so far, and what the library says of them
 *   datagram_unreachable peer             tells that peer's program that its destination cannot be reached
 *   datagram_proxy_close_all              ends all of it, and forgets it
 *   flows [instance]       the library's list
 */
#include "proxy.h"

#include "windows_redirector.h"

#include <stdlib.h>
#include <string.h>

enum { PROXIES = 8, PEERS = 4096, DATAGRAM_MAX = 65536, LOOK_MS = 100, FLOWS = 512 };

enum mode { MODE_RELAY, MODE_ECHO, MODE_HOLE };

struct proxy;

struct peer {
    struct proxy *proxy;
    struct sockaddr_storage address;
    struct destination_found found;
    SOCKET onward; /* INVALID_SOCKET: none */
    volatile LONG up, down;
    volatile long long bytes_up;
};

struct proxy {
    SOCKET socket;
    enum mode mode;
    unsigned instance;
};

static struct proxy proxies[PROXIES];
static struct peer peers[PEERS];
static volatile LONG proxy_count, peer_count, running, stop;
static SRWLOCK lock = SRWLOCK_INIT;

/* Within a moment; the moment is short so that `stop` is seen. */
static bool readable(SOCKET s)
{
    fd_set set;
    struct timeval look = {.tv_usec = LOOK_MS * 1000};
    FD_ZERO(&set);
    FD_SET(s, &set);
    return select(0, &set, NULL, NULL, &look) == 1;
}

/* What comes back from a destination. That it cannot be reached is passed on, too. */
static DWORD WINAPI answers_thread(void *argument)
{
    struct peer *p = argument;
    char *data = malloc(DATAGRAM_MAX);
    while (data && !stop) {
        if (!readable(p->onward)) {
            continue;
        }
        int got = recv(p->onward, data, DATAGRAM_MAX, 0);
        if (got >= 0) {
            sendto(p->proxy->socket, data, got, 0, (struct sockaddr *)&p->address, sizeof p->address);
            InterlockedIncrement(&p->down);
        } else if (WSAGetLastError() == WSAECONNRESET ||
                   WSAGetLastError() == WSAECONNREFUSED) { /* Wine's word for it */
            redirect_unreachable(&p->address, p->proxy->instance);
        }
    }
    closesocket(p->onward);
    free(data);
    InterlockedDecrement(&running);
    return 0;
}

static SOCKET connect_onward(const struct destination_found *found)
{
    SOCKET s = socket(found->address.ss_family, SOCK_DGRAM, 0);
    if (s != INVALID_SOCKET && connect(s, (const struct sockaddr *)&found->address, sizeof found->address) != 0) {
        closesocket(s);
        return INVALID_SOCKET;
    }
    return s;
}

static bool same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    char one[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];
    return strcmp(address_text(a, one), address_text(b, other)) == 0;
}

/* The library is asked once for each peer, and again when it did not know it. */
static struct peer *peer_of(struct proxy *proxy, const struct sockaddr_storage *from)
{
    struct peer *p = NULL;
    AcquireSRWLockExclusive(&lock);
    for (LONG i = 0; i < peer_count && !p; i++) {
        p = same(&peers[i].address, from) ? &peers[i] : NULL;
    }
    if (!p && peer_count < PEERS) {
        p = &peers[peer_count];
        *p = (struct peer){.proxy = proxy, .address = *from, .onward = INVALID_SOCKET};
        p->found = redirect_lookup(from, proxy->instance, REDIRECTOR_UDP);
        if (proxy->mode == MODE_RELAY && p->found.status == REDIRECTOR_OK) {
            p->onward = connect_onward(&p->found);
        }
        if (p->onward != INVALID_SOCKET) {
            InterlockedIncrement(&running);
            actor_thread(answers_thread, p);
        }
        peer_count++;
    }
    ReleaseSRWLockExclusive(&lock);
    return p;
}

static DWORD WINAPI proxy_thread(void *argument)
{
    struct proxy *proxy = argument;
    char *data = malloc(DATAGRAM_MAX);
    while (data && !stop) {
        struct sockaddr_storage from = {0};
        int length = sizeof from;
        int got = readable(proxy->socket)
                      ? recvfrom(proxy->socket, data, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &length)
                      : -1;
        struct peer *p = got >= 0 ? peer_of(proxy, &from) : NULL;
        if (!p) {
            continue;
        }
        InterlockedIncrement(&p->up);
        p->bytes_up += got;
        if (proxy->mode == MODE_ECHO) {
            sendto(proxy->socket, data, got, 0, (struct sockaddr *)&from, length);
        } else if (p->onward != INVALID_SOCKET) {
            send(p->onward, data, got, 0);
        }
    }
    closesocket(proxy->socket);
    free(data);
    InterlockedDecrement(&running);
    return 0;
}

void command_datagram_proxy(const struct command *c, struct json *answer)
{
    const char *mode = command_text(c, "mode", "relay");
    SOCKET s = proxy_count < PROXIES ? endpoint_bound(c, SOCK_DGRAM) : INVALID_SOCKET;
    if (s == INVALID_SOCKET) {
        json_error(answer, "datagram_proxy", (unsigned)WSAGetLastError());
        return;
    }
    struct proxy *proxy = &proxies[proxy_count++];
    stop = 0;
    proxy->socket = s;
    proxy->instance = (unsigned)command_number(c, "instance", 0);
    proxy->mode = strcmp(mode, "echo") == 0 ? MODE_ECHO : strcmp(mode, "hole") == 0 ? MODE_HOLE : MODE_RELAY;
    InterlockedIncrement(&running);
    endpoint_names(s, answer);
    actor_thread(proxy_thread, proxy);
}

void command_datagram_peers(const struct command *c, struct json *answer)
{
    char text[ADDRESS_TEXT_MAX];
    json_number(answer, "count", peer_count);
    json_open(answer, "peers", '[');
    for (LONG i = (LONG)command_number(c, "from", 0); i < peer_count; i++) {
        const struct peer *p = &peers[i];
        json_open(answer, NULL, '{');
        json_string(answer, "peer", address_text(&p->address, text));
        json_number(answer, "status", p->found.status);
        json_string(answer, "destination", p->found.status ? "" : address_text(&p->found.address, text));
        json_number(answer, "pid", p->found.pid);
        json_number(answer, "up", p->up);
        json_number(answer, "down", p->down);
        json_number(answer, "bytes_up", p->bytes_up);
        json_close(answer, '}');
    }
    json_close(answer, ']');
}

void command_datagram_unreachable(const struct command *c, struct json *answer)
{
    struct sockaddr_storage peer;
    if (!address_parse(command_text(c, "peer", ""), &peer)) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    json_number(answer, "status", redirect_unreachable(&peer, (unsigned)command_number(c, "instance", 0)));
}

void command_datagram_proxy_close_all(const struct command *c, struct json *answer)
{
    (void)c;
    stop = 1;
    while (running) {
        Sleep(1);
    }
    json_number(answer, "peers", peer_count);
    proxy_count = peer_count = 0;
}

void command_flows(const struct command *c, struct json *answer)
{
    char text[ADDRESS_TEXT_MAX];
    redirector_flow *flows = calloc(FLOWS, sizeof *flows);
    uint32_t total = 0;
    if (!flows) {
        return;
    }
    flows[0].size = sizeof *flows;
    json_number(answer, "status", redirect_list(flows, FLOWS, &total, (unsigned)command_number(c, "instance", 0)));
    json_open(answer, "flows", '[');
    for (uint32_t i = 0; i < total && i < FLOWS; i++) {
        struct sockaddr_storage client = redirect_address(&flows[i].client), peer = redirect_address(&flows[i].peer),
                                destination = redirect_address(&flows[i].destination);
        json_open(answer, NULL, '{');
        json_number(answer, "protocol", flows[i].protocol);
        json_number(answer, "pid", flows[i].pid);
        json_number(answer, "state", flows[i].state);
        json_string(answer, "client", address_text(&client, text));
        json_string(answer, "destination", address_text(&destination, text));
        json_string(answer, "peer", address_text(&peer, text));
        json_number(answer, "bytes_up", (long long)flows[i].bytes_up);
        json_number(answer, "bytes_down", (long long)flows[i].bytes_down);
        json_number(answer, "packets_up", (long long)flows[i].packets_up);
        json_number(answer, "packets_down", (long long)flows[i].packets_down);
        json_close(answer, '}');
    }
    json_close(answer, ']');
    free(flows);
}
