/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Connections in numbers, and a proxy that keeps no record of them.
 *
 *   answer at [lookup]              listens; reads each connection to its end and closes it; lookup=1: asks the library
 *                                   first where it was going, as a proxy does
 *   answered                        how many there were, and of how many the library knew the destination
 *   connects to count workers       opens connections in turn and ends them, by FIN: how long it took in all, and each
 *                                   connect()
 *   requests to count workers       the same with an answer: reads until the other side's end; the times are of the whole
 *   hold to=A/P,A/P... count        opens connections, number i to target i, and keeps them: [port, target] of each
 *   held_exchange n                 sends n bytes on each of them and checks their echo
 *   held_reset                      ends them by RST
 *   destinations family             [port, destination, pid] of every port that has one
 */
#include "bench.h"

#include "endpoint.h"
#include "proxy.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

enum { ACCEPTORS = 64, WORKERS = 64, CHUNK = 64 * 1024, TARGETS = 32, HELD_MAX = 16384, PORTS = 65536 };

/* ---- the proxy */

struct door {
    SOCKET listener;
    bool lookup;
};

static volatile LONG answered, known;

static DWORD WINAPI answer_thread(void *argument)
{
    const struct door *door = argument;
    char *chunk = malloc(CHUNK);
    while (chunk) {
        struct sockaddr_storage peer;
        int length = sizeof peer;
        SOCKET s = accept(door->listener, (struct sockaddr *)&peer, &length);
        if (s == INVALID_SOCKET) {
            break;
        }
        if (door->lookup && redirect_lookup(&peer, 0, REDIRECTOR_TCP).status == 0) {
            InterlockedIncrement(&known);
        }
        InterlockedIncrement(&answered);
        while (recv(s, chunk, CHUNK, 0) > 0) {
        }
        closesocket(s);
    }
    free(chunk);
    return 0;
}

static void command_answer(const struct command *c, struct json *answer)
{
    struct door *door = calloc(1, sizeof *door); /* it stays until the process ends */
    if (!door) {
        abort();
    }
    door->listener = endpoint_listen(c, answer);
    door->lookup = command_number(c, "lookup", 0) != 0;
    for (int i = 0; i < ACCEPTORS && door->listener != INVALID_SOCKET; i++) {
        actor_thread(answer_thread, door);
    }
}

static void command_answered(const struct command *c, struct json *answer)
{
    (void)c;
    json_number(answer, "count", answered);
    json_number(answer, "known", known);
}

/* ---- connections in turn */

struct series {
    struct sockaddr_storage to;
    int count;
    volatile LONG next, failed, bytes;
    uint64_t *us;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static DWORD WINAPI connect_thread(void *argument)
{
    struct series *s = argument;
    LONG i;
    char rest;
    while ((i = InterlockedIncrement(&s->next) - 1) < s->count) {
        SOCKET one = socket(s->to.ss_family, SOCK_STREAM, IPPROTO_TCP);
        uint64_t began = bench_now_us();
        if (connect(one, (struct sockaddr *)&s->to, sizeof s->to) != 0) {
            InterlockedIncrement(&s->failed);
        }
        s->us[i] = bench_now_us() - began;
        shutdown(one, SD_SEND);
        recv(one, &rest, 1, 0); /* the other side's end: then the connection has cost all it costs */
        closesocket(one);
    }
    return 0;
}

static DWORD WINAPI request_thread(void *argument)
{
    struct series *s = argument;
    LONG i;
    char chunk[4096];
    while ((i = InterlockedIncrement(&s->next) - 1) < s->count) {
        int got;
        uint64_t began = bench_now_us();
        SOCKET one = socket(s->to.ss_family, SOCK_STREAM, IPPROTO_TCP);
        if (connect(one, (struct sockaddr *)&s->to, sizeof s->to) != 0) {
            InterlockedIncrement(&s->failed);
        }
        while ((got = recv(one, chunk, sizeof chunk, 0)) > 0) {
            InterlockedAdd(&s->bytes, got);
        }
        closesocket(one);
        s->us[i] = bench_now_us() - began;
    }
    return 0;
}

static void run_series(const struct command *c, struct json *answer, LPTHREAD_START_ROUTINE work)
{
    struct series s = {.count = (int)command_number(c, "count", 100)};
    HANDLE threads[WORKERS];
    DWORD workers = (DWORD)command_number(c, "workers", 1);
    s.us = calloc((size_t)s.count, sizeof *s.us);
    if (!address_parse(command_text(c, "to", ""), &s.to) || workers > WORKERS || !workers || !s.us || !s.count) {
        json_error(answer, "not understood", WSAEINVAL);
        free(s.us);
        return;
    }
    uint64_t began = bench_now_us();
    for (DWORD i = 0; i < workers; i++) {
        threads[i] = CreateThread(NULL, 0, work, &s, 0, NULL);
    }
    WaitForMultipleObjects(workers, threads, TRUE, INFINITE);
    json_number(answer, "us", (long long)(bench_now_us() - began));
    for (DWORD i = 0; i < workers; i++) {
        CloseHandle(threads[i]);
    }
    qsort(s.us, (size_t)s.count, sizeof *s.us, compare);
    json_number(answer, "failed", s.failed);
    json_number(answer, "bytes", s.bytes);
    json_number(answer, "median_us", (long long)s.us[s.count / 2]);
    json_number(answer, "p90_us", (long long)s.us[s.count * 9 / 10]);
    free(s.us);
}

static void command_connects(const struct command *c, struct json *answer)
{
    run_series(c, answer, connect_thread);
}

static void command_requests(const struct command *c, struct json *answer)
{
    run_series(c, answer, request_thread);
}

/* ---- connections at a time */

static struct {
    SOCKET socket;
    uint16_t port;
    int target;
} held[HELD_MAX];
static int held_count;

static uint16_t port_of(SOCKET s)
{
    struct sockaddr_storage local = {0};
    int length = sizeof local;
    getsockname(s, (struct sockaddr *)&local, &length);
    return ntohs(((struct sockaddr_in *)&local)->sin_port); /* the same place in both families */
}

static void command_hold(const struct command *c, struct json *answer)
{
    struct sockaddr_storage targets[TARGETS];
    char list[COMMAND_LINE_MAX], *at = NULL;
    int target_count = 0, count = (int)command_number(c, "count", 1);
    strcpy(list, command_text(c, "to", ""));
    for (char *word = strtok_s(list, ",", &at); word && target_count < TARGETS; word = strtok_s(NULL, ",", &at)) {
        target_count += address_parse(word, &targets[target_count]);
    }
    json_open(answer, "held", '[');
    for (int i = 0; i < count && target_count && held_count < HELD_MAX; i++) {
        const struct sockaddr_storage *to = &targets[i % target_count];
        SOCKET s = socket(to->ss_family, SOCK_STREAM, IPPROTO_TCP);
        if (s == INVALID_SOCKET || connect(s, (const struct sockaddr *)to, sizeof *to) != 0) {
            break;
        }
        held[held_count].socket = s;
        held[held_count].port = port_of(s);
        held[held_count++].target = i % target_count;
        json_open(answer, NULL, '[');
        json_number(answer, NULL, port_of(s));
        json_number(answer, NULL, i % target_count);
        json_close(answer, ']');
    }
    json_close(answer, ']');
    json_number(answer, "count", held_count);
    json_number(answer, "code", held_count < count ? WSAGetLastError() : 0);
}

static bool receive_all(SOCKET s, char *out, int length)
{
    for (int got; length > 0; length -= got, out += got) {
        got = recv(s, out, length, 0);
        if (got <= 0) {
            return false;
        }
    }
    return true;
}

static void command_held_exchange(const struct command *c, struct json *answer)
{
    static char chunk[CHUNK];
    int n = (int)command_number(c, "n", 1000), right = 0;
    for (int i = 0; n <= CHUNK && i < held_count; i++) {
        stream_fill(held[i].port, 0, chunk, (size_t)n);
        bool ok = endpoint_send_all(held[i].socket, chunk, n) && receive_all(held[i].socket, chunk, n);
        right += ok && stream_check(held[i].port, 0, chunk, (size_t)n) == (size_t)n;
    }
    json_number(answer, "right", right);
}

static void command_held_reset(const struct command *c, struct json *answer)
{
    (void)c;
    (void)answer;
    while (held_count) {
        endpoint_reset(held[--held_count].socket);
    }
}

static void command_destinations(const struct command *c, struct json *answer)
{
    char text[ADDRESS_TEXT_MAX];
    struct sockaddr_storage peer = {.ss_family = command_number(c, "family", 4) == 6 ? AF_INET6 : AF_INET};
    json_open(answer, "destinations", '[');
    for (unsigned port = 1; port < PORTS; port++) {
        ((struct sockaddr_in *)&peer)->sin_port = htons((u_short)port);
        struct destination_found found = redirect_lookup(&peer, 0, REDIRECTOR_TCP);
        if (found.status == 0) {
            json_open(answer, NULL, '[');
            json_number(answer, NULL, port);
            json_string(answer, NULL, address_text(&found.address, text));
            json_number(answer, NULL, found.pid);
            json_close(answer, ']');
        }
    }
    json_close(answer, ']');
}

const struct command_entry load_commands[] = {
    {"answer", command_answer},
    {"answered", command_answered},
    {"connects", command_connects},
    {"requests", command_requests},
    {"hold", command_hold},
    {"held_exchange", command_held_exchange},
    {"held_reset", command_held_reset},
    {"destinations", command_destinations},
    {NULL, NULL},
};
