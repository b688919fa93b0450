/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A relay that does nothing but copy: what any relay of a program's connections pays at least. It always connects to
 * one and the same destination, asks nobody, keeps no account, and has a thread for each direction with the means that
 * cost least there: calls that wait.
 *
 *   forward at to     accepts at `at`, and carries each connection to `to`
 */
#include "bench.h"

#include "endpoint.h"

#include <stdlib.h>

enum { ACCEPTORS = 8, BUFFER = 64 * 1024, STACK = 64 * 1024 };

struct passage {
    SOCKET listener;
    struct sockaddr_storage to;
};

struct direction {
    SOCKET from, to;
};

/* Until the end of data, which is passed on. */
static void copy(SOCKET from, SOCKET to)
{
    char *buffer = malloc(BUFFER);
    int got;
    while (buffer && (got = recv(from, buffer, BUFFER, 0)) > 0 && endpoint_send_all(to, buffer, got)) {
    }
    shutdown(to, SD_SEND);
    free(buffer);
}

static DWORD WINAPI copy_thread(void *argument)
{
    const struct direction *d = argument;
    copy(d->from, d->to);
    return 0;
}

static void carry(SOCKET client, SOCKET server)
{
    struct direction up = {.from = client, .to = server};
    HANDLE thread = CreateThread(NULL, STACK, copy_thread, &up, 0, NULL);
    copy(server, client);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static void without_delay(SOCKET s)
{
    BOOL on = TRUE;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
}

static DWORD WINAPI accept_thread(void *argument)
{
    const struct passage *p = argument;
    for (;;) {
        SOCKET client = accept(p->listener, NULL, NULL), server;
        if (client == INVALID_SOCKET) {
            return 0;
        }
        server = socket(p->to.ss_family, SOCK_STREAM, IPPROTO_TCP);
        if (connect(server, (const struct sockaddr *)&p->to, sizeof p->to) == 0) {
            without_delay(client);
            without_delay(server);
            carry(client, server);
            closesocket(client);
        } else {
            endpoint_reset(client);
        }
        closesocket(server);
    }
}

static void command_forward(const struct command *c, struct json *answer)
{
    struct passage *p = calloc(1, sizeof *p); /* it stays until the process ends */
    if (!p || !address_parse(command_text(c, "to", ""), &p->to)) {
        json_error(answer, "forward: not understood", WSAEINVAL);
        free(p);
        return;
    }
    p->listener = endpoint_listen(c, answer);
    for (int i = 0; i < ACCEPTORS && p->listener != INVALID_SOCKET; i++) {
        actor_thread(accept_thread, p);
    }
}

const struct command_entry forward_commands[] = {
    {"forward", command_forward},
    {NULL, NULL},
};
