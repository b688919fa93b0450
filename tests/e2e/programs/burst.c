/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Many connections, as quickly as they go.
 *
 *   burst to=A/P,A/P... count workers n [hold] [stamp]
 *
 * Connection i goes to target i (in turn), sends n bytes, checks their echo and ends by FIN. With stamp=1 it first
 * receives two bytes, the port of the server that answers, which must be the port it asked for. With hold=1 all
 * connections are open before the first one ends.
 */
#include "endpoint.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS = 32, CHUNK = 64 * 1024, PROBLEMS = 10, WORKERS = MAXIMUM_WAIT_OBJECTS };

struct problem {
    const char *what;
    int code, number;
    char local[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
};

struct burst {
    struct sockaddr_storage targets[TARGETS];
    int target_count, count, bytes, workers;
    bool hold, stamp;
    volatile LONG next, done, failed, at_gate;
    SOCKET *sockets;
    struct problem problems[PROBLEMS];
    HANDLE gate;
};

static const struct sockaddr_storage *target(const struct burst *b, int i)
{
    return &b->targets[i % b->target_count];
}

static void failed(struct burst *b, int i, const char *what)
{
    int code = WSAGetLastError(); /* the first thing, before it is overwritten */
    LONG n = InterlockedIncrement(&b->failed) - 1;
    if (n < PROBLEMS) {
        struct sockaddr_storage local = {0};
        int length = sizeof local;
        struct problem *p = &b->problems[n];
        p->what = what;
        p->code = code;
        p->number = i;
        getsockname(b->sockets[i], (struct sockaddr *)&local, &length);
        address_text(&local, p->local);
        address_text(target(b, i), p->to);
    }
    if (b->sockets[i] != INVALID_SOCKET) {
        closesocket(b->sockets[i]);
        b->sockets[i] = INVALID_SOCKET;
    }
}

static void open_one(struct burst *b, int i)
{
    unsigned char stamp[2];
    const struct sockaddr_in *to = (const struct sockaddr_in *)target(b, i);
    b->sockets[i] = socket(to->sin_family, SOCK_STREAM, IPPROTO_TCP);
    WSASetLastError(0);
    if (connect(b->sockets[i], (const struct sockaddr *)to, sizeof(struct sockaddr_storage)) != 0) {
        failed(b, i, "connect");
    } else if (b->stamp && !endpoint_receive_all(b->sockets[i], (char *)stamp, 2)) {
        failed(b, i, "no stamp");
    } else if (b->stamp && (stamp[0] << 8 | stamp[1]) != ntohs(to->sin_port)) {
        WSASetLastError(stamp[0] << 8 | stamp[1]);
        failed(b, i, "another port answered");
    }
}

static void use_one(struct burst *b, int i, char *chunk)
{
    SOCKET s = b->sockets[i];
    if (s == INVALID_SOCKET) {
        return;
    }
    WSASetLastError(0);
    stream_fill((uint32_t)i, 0, chunk, (size_t)b->bytes);
    if (!endpoint_send_all(s, chunk, b->bytes)) {
        failed(b, i, "send");
        return;
    }
    if (!endpoint_receive_all(s, chunk, b->bytes)) {
        failed(b, i, "receive");
    } else if (stream_check((uint32_t)i, 0, chunk, (size_t)b->bytes) != (size_t)b->bytes) {
        failed(b, i, "another echo");
    } else {
        closesocket(s);
        InterlockedIncrement(&b->done);
    }
}

static DWORD WINAPI worker_thread(void *argument)
{
    struct burst *b = argument;
    char *chunk = malloc(CHUNK);
    int i;
    while ((i = InterlockedIncrement(&b->next) - 1) < b->count) {
        open_one(b, i);
        if (!b->hold) {
            use_one(b, i, chunk);
        }
    }
    if (b->hold) {
        int part = InterlockedIncrement(&b->at_gate) - 1;
        if (part == b->workers - 1) {
            SetEvent(b->gate);
        }
        WaitForSingleObject(b->gate, INFINITE);
        for (i = part; i < b->count; i += b->workers) {
            use_one(b, i, chunk);
        }
    }
    free(chunk);
    return 0;
}

static bool burst_parse(const struct command *c, struct burst *b)
{
    char list[COMMAND_LINE_MAX], *at = NULL;
    strcpy(list, command_text(c, "to", ""));
    for (char *word = strtok_s(list, ",", &at); word && b->target_count < TARGETS; word = strtok_s(NULL, ",", &at)) {
        if (!address_parse(word, &b->targets[b->target_count++])) {
            return false;
        }
    }
    b->count = (int)command_number(c, "count", 1);
    b->workers = (int)command_number(c, "workers", 8);
    b->bytes = (int)command_number(c, "n", 100);
    b->hold = command_number(c, "hold", 0) != 0;
    b->stamp = command_number(c, "stamp", 0) != 0;
    return b->target_count && b->bytes <= CHUNK && b->workers > 0 && b->workers <= WORKERS;
}

void command_burst(const struct command *c, struct json *answer)
{
    struct burst *b = calloc(1, sizeof *b);
    if (!b || !burst_parse(c, b)) {
        json_error(answer, "burst: not understood", WSAEINVAL);
        free(b);
        return;
    }
    uint64_t began = actor_now_ms();
    b->sockets = malloc((size_t)b->count * sizeof *b->sockets);
    memset(b->sockets, 0xff, (size_t)b->count * sizeof *b->sockets); /* INVALID_SOCKET */
    b->gate = CreateEventA(NULL, TRUE, FALSE, NULL);
    HANDLE threads[WORKERS];
    for (int i = 0; i < b->workers; i++) {
        threads[i] = CreateThread(NULL, 0, worker_thread, b, 0, NULL);
    }
    WaitForMultipleObjects((DWORD)b->workers, threads, TRUE, INFINITE);
    for (int i = 0; i < b->workers; i++) {
        CloseHandle(threads[i]);
    }
    json_number(answer, "ok", b->done);
    json_number(answer, "failed", b->failed);
    json_number(answer, "ms", (long long)(actor_now_ms() - began));
    json_open(answer, "problems", '[');
    for (int i = 0; i < b->failed && i < PROBLEMS; i++) {
        struct problem *p = &b->problems[i];
        json_open(answer, NULL, '{');
        json_number(answer, "number", p->number);
        json_string(answer, "what", p->what ? p->what : "?");
        json_number(answer, "code", p->code);
        json_string(answer, "local", p->local);
        json_string(answer, "to", p->to);
        json_close(answer, '}');
    }
    json_close(answer, ']');
    CloseHandle(b->gate);
    free(b->sockets);
    free(b);
}
