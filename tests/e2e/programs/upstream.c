/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What redirector may go on through: a proxy (HTTP CONNECT), or with `to` a forwarder of every connection to there.
 *
 *   upstream at [to]      accepts until the program ends
 */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 2048, CHUNK = 32 * 1024 };

struct upstream {
    SOCKET listener;
    bool forwards;
    struct sockaddr_storage to;
};

struct pump {
    SOCKET from, to;
};

struct visit {
    struct upstream *upstream;
    SOCKET client;
};

static DWORD WINAPI pump_thread(void *argument)
{
    struct pump *p = argument;
    char *chunk = malloc(CHUNK);
    int got = 0;
    while (chunk && (got = recv(p->from, chunk, CHUNK, 0)) > 0 && endpoint_send_all(p->to, chunk, got)) {
        ;
    }
    shutdown(p->to, SD_SEND);
    free(chunk);
    free(p);
    return 0;
}

static struct pump *pump_new(SOCKET from, SOCKET to)
{
    struct pump *p = malloc(sizeof *p);
    if (!p) {
        abort();
    }
    *p = (struct pump){from, to};
    return p;
}

/* Where a client wants to go: "CONNECT host:port HTTP/1.1". */
static bool read_request(SOCKET client, struct sockaddr_storage *to)
{
    char request[REQUEST_MAX] = "", address[ADDRESS_TEXT_MAX];
    for (int used = 0; !strstr(request, "\r\n\r\n");) {
        int got = recv(client, request + used, REQUEST_MAX - 1 - used, 0);
        if (got <= 0) {
            return false;
        }
        used += got;
        request[used] = '\0';
    }
    bool bracketed = strncmp(request, "CONNECT [", 9) == 0;
    unsigned port;
    if (sscanf(request, bracketed ? "CONNECT [%40[^]]]:%u" : "CONNECT %40[^:]:%u", address, &port) != 2) {
        return false;
    }
    snprintf(address + strlen(address), sizeof address - strlen(address), "/%u", port);
    return address_parse(address, to);
}

static DWORD WINAPI visit_thread(void *argument)
{
    static const char yes[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct visit *v = argument;
    struct sockaddr_storage to = v->upstream->to;
    SOCKET onward = INVALID_SOCKET;
    if (v->upstream->forwards || read_request(v->client, &to)) {
        onward = socket(to.ss_family, SOCK_STREAM, 0);
    }
    if (onward != INVALID_SOCKET && connect(onward, (struct sockaddr *)&to, sizeof to) == 0 &&
        (v->upstream->forwards || endpoint_send_all(v->client, yes, sizeof yes - 1))) {
        actor_thread(pump_thread, pump_new(onward, v->client));
        pump_thread(pump_new(v->client, onward));
    } else {
        closesocket(v->client);
    }
    free(v); /* its sockets stay open until the program ends: a test program */
    return 0;
}

static DWORD WINAPI accept_thread(void *argument)
{
    struct upstream *u = argument;
    for (SOCKET s; (s = accept(u->listener, NULL, NULL)) != INVALID_SOCKET;) {
        struct visit *v = malloc(sizeof *v);
        if (!v) {
            abort();
        }
        *v = (struct visit){u, s};
        actor_thread(visit_thread, v);
    }
    return 0;
}

void command_upstream(const struct command *c, struct json *answer)
{
    struct upstream *u = calloc(1, sizeof *u);
    const char *to = command_text(c, "to", NULL);
    if (!u) {
        abort();
    }
    u->forwards = to && address_parse(to, &u->to);
    u->listener = endpoint_listen(c, answer);
    if (u->listener != INVALID_SOCKET) {
        actor_thread(accept_thread, u);
    }
}
