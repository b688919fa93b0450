/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A server that needs no further commands.
 *
 *   serve id at [stamp]   accepts and echoes until told otherwise; with stamp=1 it first sends its own port, two bytes, so
 *                         that a client can tell whether he got to where he wanted
 *   served id             who came: peer, bytes
 */
#include "endpoint.h"

#include <stdlib.h>
#include <string.h>

enum { SERVERS = 64, VISITORS = 16384, CHUNK = 32 * 1024 };

struct visitor {
    struct server *server;
    SOCKET socket;
    char peer[ADDRESS_TEXT_MAX];
    long long bytes;
    volatile LONG over;
};

struct server {
    SOCKET listener;
    uint16_t port;
    bool stamp;
    volatile LONG count; /* visitors are complete up to here */
    struct visitor *visitors[VISITORS];
};

static struct server *volatile servers[SERVERS];

static DWORD WINAPI echo_thread(void *argument)
{
    struct visitor *v = argument;
    char *chunk = malloc(CHUNK);
    unsigned char stamp[2] = {(unsigned char)(v->server->port >> 8), (unsigned char)v->server->port};
    bool alive = chunk && (!v->server->stamp || endpoint_send_all(v->socket, (const char *)stamp, 2));
    int got;
    while (alive && (got = recv(v->socket, chunk, CHUNK, 0)) > 0) {
        v->bytes += got;
        alive = endpoint_send_all(v->socket, chunk, got);
    }
    if (InterlockedExchange(&v->over, 1) == 0) {
        closesocket(v->socket);
    }
    free(chunk);
    return 0;
}

static DWORD WINAPI accept_thread(void *argument)
{
    struct server *server = argument;
    while (server->count < VISITORS) {
        struct sockaddr_storage peer;
        int length = sizeof peer;
        SOCKET s = accept(server->listener, (struct sockaddr *)&peer, &length);
        struct visitor *v = s == INVALID_SOCKET ? NULL : calloc(1, sizeof *v);
        if (!v) {
            break; /* the listener was closed */
        }
        v->server = server;
        v->socket = s;
        address_text(&peer, v->peer);
        server->visitors[server->count] = v;
        InterlockedIncrement(&server->count);
        actor_thread(echo_thread, v);
    }
    return 0;
}

void command_serve(const struct command *c, struct json *answer)
{
    struct sockaddr_storage local;
    int length = sizeof local;
    struct server *server = calloc(1, sizeof *server);
    if (!server) {
        abort();
    }
    server->listener = endpoint_listen(c, answer);
    if (server->listener == INVALID_SOCKET) {
        free(server);
        return;
    }
    getsockname(server->listener, (struct sockaddr *)&local, &length);
    server->port = ntohs(((struct sockaddr_in *)&local)->sin_port); /* the same place in both families */
    server->stamp = command_number(c, "stamp", 0) != 0;
    servers[command_number(c, "id", 0) % SERVERS] =
        server; /* an older one under this number is leaked: a test program */
    actor_thread(accept_thread, server);
}

void command_served(const struct command *c, struct json *answer)
{
    struct server *server = servers[command_number(c, "id", 0) % SERVERS];
    json_open(answer, "visitors", '[');
    for (LONG i = 0; server && i < server->count; i++) {
        json_open(answer, NULL, '{');
        json_string(answer, "peer", server->visitors[i]->peer);
        json_number(answer, "bytes", server->visitors[i]->bytes);
        json_number(answer, "over", server->visitors[i]->over);
        json_close(answer, '}');
    }
    json_close(answer, ']');
}

void serve_close_all(void)
{
    for (int i = 0; i < SERVERS; i++) {
        struct server *server = servers[i];
        servers[i] = NULL;
        if (!server) {
            continue;
        }
        closesocket(server->listener);
        for (LONG k = 0; k < server->count; k++) {
            if (InterlockedExchange(&server->visitors[k]->over, 1) == 0) {
                endpoint_reset(server->visitors[k]->socket);
            }
        }
    }
}
