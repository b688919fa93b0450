/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The agent's proxy.
 *
 *   proxy at [mode] [instance]   listens; what it does with a connection: relay (to where it was going), echo, hole (keeps it and
 *                      reads nothing)
 *   proxied [from]     all connections so far, from the number `from` on
 *   proxy_close_all    ends listeners and connections, by RST, and forgets them
 */
#include "proxy.h"

#include "endpoint.h"

#include <stdlib.h>
#include <string.h>

enum { LISTENERS = 16, CONNECTIONS = 32768, ECHO = 16 * 1024, LOOK_MS = 100 };

enum mode { MODE_RELAY, MODE_ECHO, MODE_HOLE };

struct connection {
    SOCKET socket;
    enum mode mode;
    unsigned instance; /* of the redirector */
    struct sockaddr_storage peer;
    struct destination_found found;
    char onward[ADDRESS_TEXT_MAX]; /* our own address on the way to the destination */
    unsigned onward_error;
    uint64_t began_ms;
    volatile uint64_t ended_ms;
    struct relay_result result;
};

static struct {
    SOCKET socket;
    enum mode mode;
    unsigned instance;
} listeners[LISTENERS];
static volatile LONG listener_count, connection_count, stop;
static struct connection *connections[CONNECTIONS];

static void connect_onward(struct connection *c)
{
    struct sockaddr_storage local;
    int length = sizeof local;
    SOCKET onward = socket(c->found.address.ss_family, SOCK_STREAM, IPPROTO_TCP);
    if (onward == INVALID_SOCKET ||
        connect(onward, (struct sockaddr *)&c->found.address, sizeof c->found.address) != 0) {
        c->onward_error = (unsigned)WSAGetLastError();
        c->result.end = "not connected";
        closesocket(onward);
        endpoint_reset(c->socket);
        return;
    }
    getsockname(onward, (struct sockaddr *)&local, &length);
    address_text(&local, c->onward);
    relay_run(c->socket, onward, &stop, &c->result);
}

/* Whether the socket can be read within a moment; the moment is short so that `stop` is seen. */
static bool readable(SOCKET s)
{
    fd_set set;
    struct timeval look = {.tv_usec = LOOK_MS * 1000};
    FD_ZERO(&set);
    FD_SET(s, &set);
    return select(0, &set, NULL, NULL, &look) == 1;
}

static void echo(struct connection *c)
{
    char data[ECHO];
    int got = 1;
    while (got > 0 && !stop) {
        if (!readable(c->socket)) {
            continue;
        }
        got = endpoint_receive(c->socket, data, sizeof data, false);
        if (got > 0) {
            c->result.up += got;
            if (!endpoint_send_all(c->socket, data, got)) {
                break;
            }
            c->result.down += got;
        }
    }
    c->result.end = got == 0 ? "fin" : stop ? "stopped" : "reset by client";
    if (got == 0) {
        closesocket(c->socket);
    } else {
        endpoint_reset(c->socket);
    }
}

static void hole(struct connection *c)
{
    while (!stop) {
        Sleep(LOOK_MS);
    }
    c->result.end = "stopped";
    endpoint_reset(c->socket);
}

static DWORD WINAPI connection_thread(void *argument)
{
    struct connection *c = argument;
    c->found = redirect_lookup(&c->peer, c->instance, REDIRECTOR_TCP);
    if (c->mode == MODE_ECHO) {
        echo(c);
    } else if (c->mode == MODE_HOLE) {
        hole(c);
    } else if (c->found.status != 0) {
        c->result.end = "no destination";
        endpoint_reset(c->socket);
    } else {
        connect_onward(c);
    }
    c->ended_ms = actor_now_ms();
    return 0;
}

static DWORD WINAPI accept_thread(void *argument)
{
    LONG number = (LONG)(intptr_t)argument;
    for (;;) {
        struct connection *c = calloc(1, sizeof *c);
        int length = sizeof c->peer;
        SOCKET s = c ? accept(listeners[number].socket, (struct sockaddr *)&c->peer, &length) : INVALID_SOCKET;
        if (s == INVALID_SOCKET) {
            free(c);
            return 0;
        }
        c->socket = s;
        c->mode = listeners[number].mode;
        c->instance = listeners[number].instance;
        c->began_ms = actor_now_ms();
        c->result.end = "";
        LONG at = InterlockedIncrement(&connection_count) - 1;
        if (at >= CONNECTIONS) {
            abort();
        }
        connections[at] = c;
        actor_thread(connection_thread, c);
    }
}

void command_proxy(const struct command *c, struct json *answer)
{
    const char *mode = command_text(c, "mode", "relay");
    LONG number = listener_count;
    SOCKET s = number < LISTENERS ? endpoint_listen(c, answer) : INVALID_SOCKET;
    if (s == INVALID_SOCKET) {
        return;
    }
    stop = 0;
    listeners[number].socket = s;
    listeners[number].instance = (unsigned)command_number(c, "instance", 0);
    listeners[number].mode = strcmp(mode, "echo") == 0 ? MODE_ECHO : strcmp(mode, "hole") == 0 ? MODE_HOLE : MODE_RELAY;
    listener_count = number + 1;
    actor_thread(accept_thread, (void *)(intptr_t)number);
}

static void describe(const struct connection *c, struct json *out)
{
    char text[ADDRESS_TEXT_MAX];
    json_open(out, NULL, '{');
    json_string(out, "peer", address_text(&c->peer, text));
    json_number(out, "instance", c->instance);
    json_number(out, "status", c->found.status);
    if (c->found.status == 0) {
        json_string(out, "destination", address_text(&c->found.address, text));
        json_number(out, "pid", c->found.pid);
        json_number(out, "incoming", c->found.incoming);
        json_number(out, "connection_id", (long long)c->found.connection_id);
        json_number(out, "upstream", c->found.upstream);
    }
    json_string(out, "onward", c->onward);
    json_number(out, "onward_error", c->onward_error);
    json_number(out, "up", c->result.up);
    json_number(out, "down", c->result.down);
    json_string(out, "end", c->ended_ms ? c->result.end : "");
    json_number(out, "began_ms", (long long)c->began_ms);
    json_number(out, "ended_ms", (long long)c->ended_ms);
    json_close(out, '}');
}

void command_proxied(const struct command *c, struct json *answer)
{
    LONG count = connection_count;
    json_number(answer, "count", count);
    json_open(answer, "connections", '[');
    for (LONG i = (LONG)command_number(c, "from", 0); i < count; i++) {
        if (connections[i]) { /* else it is just being accepted */
            describe(connections[i], answer);
        }
    }
    json_close(answer, ']');
}

/* The memory of the connections is left to the end of the process: its threads are only about to end. */
void command_proxy_close_all(const struct command *c, struct json *answer)
{
    (void)c;
    int open = 0;
    stop = 1;
    for (LONG i = 0; i < listener_count; i++) {
        closesocket(listeners[i].socket);
    }
    listener_count = 0;
    for (LONG i = 0; i < connection_count; i++) {
        open += connections[i]->ended_ms == 0;
        while (connections[i]->ended_ms == 0) {
            Sleep(1);
        }
    }
    connection_count = 0;
    json_number(answer, "open", open);
}
