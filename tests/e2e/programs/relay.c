/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Carries one connection. A half-closed side stays half-closed; a reset is passed on. One thread looks at both sockets, so
 * that none is closed while somebody else waits on it.
 */
#include "endpoint.h"
#include "proxy.h"

#include <stdlib.h>

enum { BUFFER = 64 * 1024, LOOK_MS = 100 };

struct half {
    SOCKET from, to;
    int at, end; /* what is in the buffer */
    bool eof, passed_on;
    long long *bytes;
    char data[BUFFER];
};

/* -1: the connection broke; 0: nothing to do now; 1: something was done. */
static int outcome(int result)
{
    return result >= 0 ? 1 : WSAGetLastError() == WSAEWOULDBLOCK ? 0 : -1;
}

/* false: the connection it reads from broke. `shut_down`: our sending side of that connection. */
static bool half_read(struct half *h, bool shut_down)
{
    int got = endpoint_receive(h->from, h->data, BUFFER, shut_down);
    if (outcome(got) <= 0) {
        return outcome(got) == 0;
    }
    h->at = 0;
    h->end = got;
    h->eof = got == 0;
    return true;
}

/* false: the connection it writes to broke. */
static bool half_write(struct half *h)
{
    int sent = send(h->to, h->data + h->at, h->end - h->at, 0);
    if (outcome(sent) <= 0) {
        return outcome(sent) == 0;
    }
    h->at += sent;
    *h->bytes += sent;
    return true;
}

/* Waits for one of the two. false: nothing is left to wait for. */
static bool halves_wait(struct half *halves[2], fd_set *readable, fd_set *writable)
{
    bool any = false;
    FD_ZERO(readable);
    FD_ZERO(writable);
    for (int i = 0; i < 2; i++) {
        struct half *h = halves[i];
        if (h->at < h->end) {
            FD_SET(h->to, writable);
            any = true;
        } else if (!h->eof) {
            FD_SET(h->from, readable);
            any = true;
        } else if (!h->passed_on) {
            shutdown(h->to, SD_SEND);
            h->passed_on = true;
        }
    }
    struct timeval look = {.tv_usec = LOOK_MS * 1000};
    return any && select(0, readable, writable, NULL, &look) >= 0;
}

static const char *relay_halves(struct half *up, struct half *down, volatile LONG *stop)
{
    struct half *halves[2] = {up, down};
    static const char *const broke[2] = {"reset by client", "reset by server"};
    fd_set readable, writable;
    while (halves_wait(halves, &readable, &writable)) {
        if (*stop) {
            return "stopped";
        }
        for (int i = 0; i < 2; i++) {
            struct half *h = halves[i];
            if (h->at < h->end) {
                if (FD_ISSET(h->to, &writable) && !half_write(h)) {
                    return broke[!i];
                }
            } else if (!h->eof && FD_ISSET(h->from, &readable) && !half_read(h, halves[!i]->passed_on)) {
                return broke[i];
            }
        }
    }
    return "fin";
}

void relay_run(SOCKET a, SOCKET b, volatile LONG *stop, struct relay_result *result)
{
    u_long yes = 1;
    struct half *halves = calloc(2, sizeof *halves);
    if (!halves) {
        abort();
    }
    halves[0].from = halves[1].to = a;
    halves[0].to = halves[1].from = b;
    halves[0].bytes = &result->up;
    halves[1].bytes = &result->down;
    ioctlsocket(a, FIONBIO, &yes);
    ioctlsocket(b, FIONBIO, &yes);
    result->end = relay_halves(&halves[0], &halves[1], stop);
    free(halves);
    if (result->end[0] == 'f') {
        closesocket(a);
        closesocket(b);
    } else {
        endpoint_reset(a);
        endpoint_reset(b);
    }
}
