/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Connections, each under a number that the harness chose.
 *
 *   connect id to [from] [reuse]     listen id at [reuse] [dual] [backlog]     accept id listener
 *   send id seed at n                sends n bytes of the stream, from position `at` on
 *   receive id seed at n             receives exactly n and checks them
 *   receive_end id                   reads on until the other side ends it: "fin" or "reset"
 *   shutdown id                      no more from this side
 *   close id, reset id               orderly, or by RST
 *   close_all                        everything, by RST: leaves nothing that lingers
 *   pair at n [to] [dual]            socketpair() as libraries make it on Windows, n times: listens, connects to itself
 *                                    (at host `to`, if given), accepts; says how often the names of both sockets agree
 */
#include "endpoint.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 4096, CHUNK = 64 * 1024 };

/* The socket plus 1, so that 0 is "none". Each entry has one user at a time, except that anybody may end it. */
static volatile LONG64 sockets[IDS];
static volatile bool shut_down[IDS];

SOCKET endpoint_socket(const struct command *c, const char *key)
{
    return (SOCKET)(sockets[command_number(c, key, 0) % IDS] - 1);
}

void endpoint_remember(const struct command *c, SOCKET s)
{
    shut_down[command_number(c, "id", 0) % IDS] = false;
    sockets[command_number(c, "id", 0) % IDS] = (LONG64)s + 1;
}

static SOCKET forget(const struct command *c)
{
    return (SOCKET)(InterlockedExchange64(&sockets[command_number(c, "id", 0) % IDS], 0) - 1);
}

void endpoint_names(SOCKET s, struct json *answer)
{
    struct sockaddr_storage address;
    char text[ADDRESS_TEXT_MAX];
    int length = sizeof address;
    if (getsockname(s, (struct sockaddr *)&address, &length) == 0) {
        json_string(answer, "local", address_text(&address, text));
    }
    length = sizeof address;
    if (getpeername(s, (struct sockaddr *)&address, &length) == 0) {
        json_string(answer, "peer", address_text(&address, text));
    }
}

/* A bound socket of the family of `at`; INVALID_SOCKET: see WSAGetLastError(). */
static SOCKET bound_socket(const struct command *c, const struct sockaddr_storage *at, bool bind_it, int type)
{
    BOOL yes = TRUE;
    SOCKET s = socket(at->ss_family, type, 0);
    if (s == INVALID_SOCKET) {
        return s;
    }
    if (command_number(c, "reuse", 0)) {
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (const char *)&yes, sizeof yes);
    }
    DWORD ipv6_only = !command_number(c, "dual", 0);
    if (!ipv6_only || type == SOCK_DGRAM) { /* Windows has "only" where nothing is said, Wine has not for datagrams */
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&ipv6_only, sizeof ipv6_only);
    }
    if (bind_it && bind(s, (const struct sockaddr *)at, sizeof *at) != 0) {
        int code = WSAGetLastError();
        closesocket(s);
        WSASetLastError(code);
        return INVALID_SOCKET;
    }
    return s;
}

SOCKET endpoint_bound(const struct command *c, int type)
{
    struct sockaddr_storage at;
    if (!address_parse(command_text(c, "at", ""), &at)) {
        WSASetLastError(WSAEINVAL);
        return INVALID_SOCKET;
    }
    return bound_socket(c, &at, true, type);
}

static void command_connect(const struct command *c, struct json *answer)
{
    struct sockaddr_storage to, from;
    const char *from_text = command_text(c, "from", NULL);
    if (!address_parse(command_text(c, "to", ""), &to) || (from_text && !address_parse(from_text, &from))) {
        json_error(answer, "not an address", WSAEINVAL);
        return;
    }
    SOCKET s = bound_socket(c, from_text ? &from : &to, from_text != NULL, SOCK_STREAM);
    if (s == INVALID_SOCKET) {
        json_error(answer, "bind", (unsigned)WSAGetLastError());
        return;
    }
    endpoint_remember(c, s); /* before it connects, so that a close can break it off */
    uint64_t began = actor_now_ms();
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) {
        json_error(answer, "connect", (unsigned)WSAGetLastError());
        forget(c);
        closesocket(s);
    }
    json_number(answer, "ms", (long long)(actor_now_ms() - began));
    endpoint_names(s, answer);
}

SOCKET endpoint_listen(const struct command *c, struct json *answer)
{
    SOCKET s = endpoint_bound(c, SOCK_STREAM);
    if (s == INVALID_SOCKET || listen(s, (int)command_number(c, "backlog", 512)) != 0) {
        json_error(answer, "listen", (unsigned)WSAGetLastError());
        if (s != INVALID_SOCKET) {
            closesocket(s);
        }
        return INVALID_SOCKET;
    }
    endpoint_names(s, answer);
    return s;
}

static void command_listen(const struct command *c, struct json *answer)
{
    SOCKET s = endpoint_listen(c, answer);
    if (s != INVALID_SOCKET) {
        endpoint_remember(c, s);
    }
}

static void command_accept(const struct command *c, struct json *answer)
{
    SOCKET s = accept(endpoint_socket(c, "listener"), NULL, NULL);
    if (s == INVALID_SOCKET) {
        json_error(answer, "accept", (unsigned)WSAGetLastError());
        return;
    }
    endpoint_remember(c, s);
    endpoint_names(s, answer);
}

bool endpoint_send_all(SOCKET s, const char *data, int length)
{
    while (length > 0) {
        int sent = send(s, data, length, 0);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        length -= sent;
    }
    return true;
}

bool endpoint_receive_all(SOCKET s, char *out, int length)
{
    while (length > 0) {
        int got = recv(s, out, length, 0);
        if (got <= 0) {
            return false;
        }
        out += got;
        length -= got;
    }
    return true;
}

static void command_send(const struct command *c, struct json *answer)
{
    SOCKET s = endpoint_socket(c, "id");
    uint32_t seed = (uint32_t)command_number(c, "seed", 0);
    uint64_t at = command_number(c, "at", 0), n = command_number(c, "n", 0), done = 0;
    char *chunk = malloc(CHUNK);
    while (chunk && done < n) {
        int part = (int)(n - done < CHUNK ? n - done : CHUNK);
        stream_fill(seed, at + done, chunk, (size_t)part);
        if (!endpoint_send_all(s, chunk, part)) {
            json_error(answer, "send", (unsigned)WSAGetLastError());
            break;
        }
        done += (uint64_t)part;
    }
    json_number(answer, "bytes", (long long)done);
    free(chunk);
}

/*
 * When a reset arrives while nobody waits for data, Wine's server takes note of it and recv() then says "orderly end". An
 * empty send, which puts nothing on the wire, still fails on a connection that was reset.
 */
int endpoint_receive(SOCKET s, char *out, int length, bool shut_down)
{
    int got = recv(s, out, length, 0);
    if (got == 0 && !shut_down && send(s, out, 0, 0) != 0) {
        WSASetLastError(WSAECONNRESET);
        return -1;
    }
    return got;
}

static void command_receive(const struct command *c, struct json *answer)
{
    SOCKET s = endpoint_socket(c, "id");
    uint32_t seed = (uint32_t)command_number(c, "seed", 0);
    uint64_t at = command_number(c, "at", 0), n = command_number(c, "n", 0), done = 0;
    char *chunk = malloc(CHUNK);
    while (chunk && done < n) {
        int got = recv(s, chunk, (int)(n - done < CHUNK ? n - done : CHUNK), 0);
        if (got <= 0) {
            json_error(answer, got ? "receive" : "ended", got ? (unsigned)WSAGetLastError() : 0);
            break;
        }
        size_t right = stream_check(seed, at + done, chunk, (size_t)got);
        if (right != (size_t)got) {
            json_error(answer, "wrong byte", 0);
            json_number(answer, "wrong_at", (long long)(at + done + right));
            break;
        }
        done += (uint64_t)got;
    }
    json_number(answer, "bytes", (long long)done);
    free(chunk);
}

static bool was_shut_down(const struct command *c)
{
    return shut_down[command_number(c, "id", 0) % IDS];
}

static void command_receive_end(const struct command *c, struct json *answer)
{
    SOCKET s = endpoint_socket(c, "id");
    char chunk[4096];
    long long bytes = 0;
    int got;
    while ((got = endpoint_receive(s, chunk, sizeof chunk, was_shut_down(c))) > 0) {
        bytes += got;
    }
    unsigned code = got < 0 ? (unsigned)WSAGetLastError() : 0;
    json_string(answer, "end", got == 0 ? "fin" : code == WSAECONNRESET ? "reset" : "other");
    json_number(answer, "os_error", code);
    json_number(answer, "bytes", bytes);
}

static void command_shutdown(const struct command *c, struct json *answer)
{
    shut_down[command_number(c, "id", 0) % IDS] = true;
    if (shutdown(endpoint_socket(c, "id"), SD_SEND) != 0) {
        json_error(answer, "shutdown", (unsigned)WSAGetLastError());
    }
}

static void command_close(const struct command *c, struct json *answer)
{
    if (closesocket(forget(c)) != 0) {
        json_error(answer, "close", (unsigned)WSAGetLastError());
    }
}

void endpoint_reset(SOCKET s)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof at_once);
    closesocket(s);
}

static void command_reset(const struct command *c, struct json *answer)
{
    (void)answer;
    endpoint_reset(forget(c));
}

/* A socket that is connected to the listener of the same process; INVALID_SOCKET: see WSAGetLastError(). */
static SOCKET connected_to(const struct command *c, SOCKET listener)
{
    struct sockaddr_storage to, at;
    int length = sizeof at;
    if (!address_parse(command_text(c, "to", command_text(c, "at", "")), &to) ||
        getsockname(listener, (struct sockaddr *)&at, &length) != 0) {
        return INVALID_SOCKET;
    }
    /* at the same place in both families */
    ((struct sockaddr_in *)&to)->sin_port = ((struct sockaddr_in *)&at)->sin_port;
    SOCKET s = bound_socket(c, &to, false, SOCK_STREAM);
    if (s != INVALID_SOCKET && connect(s, (struct sockaddr *)&to, sizeof to) != 0) {
        int code = WSAGetLastError();
        closesocket(s);
        WSASetLastError(code);
        return INVALID_SOCKET;
    }
    return s;
}

static bool names_agree(SOCKET one, SOCKET other)
{
    struct sockaddr_storage name, peer;
    char name_text[ADDRESS_TEXT_MAX], peer_text[ADDRESS_TEXT_MAX];
    int name_length = sizeof name, peer_length = sizeof peer;
    return getsockname(one, (struct sockaddr *)&name, &name_length) == 0 &&
           getpeername(other, (struct sockaddr *)&peer, &peer_length) == 0 &&
           strcmp(address_text(&name, name_text), address_text(&peer, peer_text)) == 0;
}

/* 1: the names agree, 0: they do not, -1: it came to nothing; see WSAGetLastError(). */
static int pair_once(const struct command *c)
{
    int agree = -1;
    SOCKET listener = endpoint_bound(c, SOCK_STREAM);
    if (listener == INVALID_SOCKET) {
        return agree;
    }
    SOCKET one = listen(listener, 1) == 0 ? connected_to(c, listener) : INVALID_SOCKET;
    if (one != INVALID_SOCKET) {
        SOCKET other = accept(listener, NULL, NULL);
        agree = names_agree(one, other) && names_agree(other, one);
        endpoint_reset(one);
        endpoint_reset(other);
    }
    closesocket(listener);
    return agree;
}

static void command_pair(const struct command *c, struct json *answer)
{
    int agreed = 0, result = 0;
    for (uint64_t n = command_number(c, "n", 1); n && result >= 0; n--) {
        result = pair_once(c);
        agreed += result > 0;
    }
    if (result < 0) {
        json_error(answer, "pair", (unsigned)WSAGetLastError());
    }
    json_number(answer, "agreed", agreed);
}

static void command_names(const struct command *c, struct json *answer)
{
    endpoint_names(endpoint_socket(c, "id"), answer);
}

static void command_close_all(const struct command *c, struct json *answer)
{
    (void)c;
    int open = 0;
    for (int i = 0; i < IDS; i++) {
        SOCKET s = (SOCKET)(InterlockedExchange64(&sockets[i], 0) - 1);
        if (s != INVALID_SOCKET) {
            endpoint_reset(s);
            open++;
        }
    }
    serve_close_all();
    json_number(answer, "open", open);
}

static void command_exit(const struct command *c, struct json *answer)
{
    (void)c;
    (void)answer; /* actor.c ends the process once it is answered */
}

/* clang-format off */
const struct command_entry endpoint_commands[] = {
    {"connect", command_connect},
    {"listen", command_listen},
    {"accept", command_accept},
    {"send", command_send},
    {"receive", command_receive},
    {"receive_end", command_receive_end},
    {"shutdown", command_shutdown},
    {"close", command_close},
    {"reset", command_reset},
    {"names", command_names},
    {"pair", command_pair},
    {"close_all", command_close_all},
    {"serve", command_serve},
    {"served", command_served},
    {"datagram", command_datagram},
    {"redirect_datagram", command_redirect_datagram},
    {"tell_datagrams", command_tell_datagrams},
    {"hear", command_hear},
    {"ask", command_ask},
    {"echoes", command_echoes}, {"tell_once", command_tell_once},
    {"burst", command_burst},
    {"spawn", command_spawn},
    {"wait_exit", command_wait_exit},
    {"kill", command_kill},
    {"upstream", command_upstream},
    {"exit", command_exit},
    {NULL, NULL},
};
/* clang-format on */
