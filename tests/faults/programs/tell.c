/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A proxy that tells each peer where it was going, as the library says, and echoes; with a fixed number of threads, and
 * without keeping anything, so that it can run for ever.
 *
 *   tell at threads pid    pid: who must have opened every connection
 *   told                   connections, lookups that found nothing, that named another process; connections open
 *   tell_end               no more connections
 */
#include "endpoint.h"
#include "faults.h"
#include "proxy.h"

#include <stdlib.h>

enum { CHUNK = 64 * 1024, LISTENERS = 8 };

static volatile LONG told, missed, other_pid, open_now, threads;
static SOCKET listeners[LISTENERS];
static volatile LONG listener_count;
static unsigned expected_pid;

static void serve_one(SOCKET s, const struct sockaddr_storage *peer, char *chunk)
{
    struct destination_found found = redirect_lookup(peer, 0, REDIRECTOR_TCP);
    int port = ntohs(((struct sockaddr_in *)&found.address)->sin_port); /* the same place in both families */
    unsigned char stamp[2] = {(unsigned char)(port >> 8), (unsigned char)port};
    InterlockedIncrement(&told);
    if (found.status != 0) {
        InterlockedIncrement(&missed);
    } else if (found.pid != expected_pid) {
        InterlockedIncrement(&other_pid);
    }
    bool alive = found.status == 0 && endpoint_send_all(s, (const char *)stamp, 2);
    int got = 0;
    while (alive && (got = recv(s, chunk, CHUNK, 0)) > 0) {
        alive = endpoint_send_all(s, chunk, got);
    }
    if (alive && got == 0) {
        closesocket(s);
    } else {
        endpoint_reset(s);
    }
}

static bool is_open(SOCKET listener)
{
    for (LONG i = 0; i < listener_count; i++) {
        if (listeners[i] == listener) {
            return true;
        }
    }
    return false;
}

static DWORD WINAPI serving(void *argument)
{
    SOCKET listener = (SOCKET)argument;
    char *chunk = malloc(CHUNK);
    for (;;) {
        struct sockaddr_storage peer;
        int length = sizeof peer;
        SOCKET s = accept(listener, (struct sockaddr *)&peer, &length);
        if (s == INVALID_SOCKET) {
            if (is_open(listener)) {
                continue; /* only this peer is gone already */
            }
            break;
        }
        InterlockedIncrement(&open_now);
        serve_one(s, &peer, chunk);
        InterlockedDecrement(&open_now);
    }
    free(chunk);
    InterlockedDecrement(&threads);
    return 0;
}

void command_tell(const struct command *c, struct json *answer)
{
    SOCKET s = listener_count < LISTENERS ? endpoint_listen(c, answer) : INVALID_SOCKET;
    if (s == INVALID_SOCKET) {
        return;
    }
    expected_pid = (unsigned)command_number(c, "pid", 0);
    listeners[listener_count] = s;
    InterlockedIncrement(&listener_count);
    for (uint64_t i = command_number(c, "threads", 16); i > 0; i--) {
        InterlockedIncrement(&threads);
        actor_thread(serving, (void *)s);
    }
}

void command_told(const struct command *c, struct json *answer)
{
    (void)c;
    json_number(answer, "told", told);
    json_number(answer, "missed", missed);
    json_number(answer, "other_pid", other_pid);
    json_number(answer, "open", open_now);
}

void command_tell_end(const struct command *c, struct json *answer)
{
    (void)c;
    (void)answer;
    while (listener_count) {
        closesocket(listeners[InterlockedDecrement(&listener_count)]);
    }
    while (threads > open_now) { /* the others end with their connections */
        Sleep(5);
    }
}
