/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Before the program runs the ways of --upstream are tried: one whose proxy cannot be reached, or rejects the password, is
 * reported once, before any connection fails. The try is a dial as the relay makes it, only as far as the login.
 */
#include "dial.h"
#include "output.h"
#include "routes.h"

struct trial {
    bool over;
    DWORD error;
    enum upstream_failure failure;
};

static void on_dialled(void *context, const struct dial_result *result)
{
    struct trial *t = context;
    *t = (struct trial){.over = true, .error = result->error, .failure = result->failure};
    if (result->socket != INVALID_SOCKET) {
        closesocket(result->socket);
    }
}

/* Until all dials, also those that are over, have their operations back. */
static void serve(struct dialler *dialler)
{
    OVERLAPPED_ENTRY entry;
    ULONG count;
    while (dialler->first) {
        if (GetQueuedCompletionStatusEx(dialler->port, &entry, 1, &count, dial_tick(dialler), FALSE)) {
            struct relay_op *op = CONTAINING_RECORD(entry.lpOverlapped, struct relay_op, overlapped);
            DWORD error, bytes = relay_op_result(op, &entry, &error);
            dial_complete(op->owner, op, bytes, error);
        }
    }
}

static const char *text_of(DWORD error)
{
    switch (error) {
    case WSAECONNREFUSED:
        return "connection refused";
    case WSAETIMEDOUT:
        return "no answer";
    default:
        return "no connection";
    }
}

/* False: it does not work, and a message was shown. */
static bool try_one(struct dialler *dialler, const struct way *w, uint32_t connect_ms)
{
    char name[700];
    struct trial trial = {.over = false};
    struct dial_plan plan = {
        .via = w->to, .over = w->over, .limit_ms = routes_limit_ms(connect_ms), .done = on_dialled, .context = &trial};
    if (!w->to) {
        return true;
    }
    if (!dial_start(dialler, &plan)) {
        output_message("out of memory");
        return false;
    }
    serve(dialler);
    way_text(name, sizeof name, w);
    if (trial.failure) {
        output_message("the upstream %s %s", name, upstream_failure_text(trial.failure));
    } else if (trial.error) {
        output_message("the upstream %s cannot be reached: %s (error %lu)", name, text_of(trial.error), trial.error);
    }
    return !trial.failure && !trial.error;
}

static bool try_route(struct dialler *dialler, const struct routes *r, uint32_t route, uint32_t connect_ms)
{
    struct ways ways;
    bool good = false;
    routes_ways(r, route, &ways);
    for (uint32_t i = 0; i < ways.count; i++) {
        good |= try_one(dialler, &ways.all[i], connect_ms);
    }
    return good;
}

bool routes_try(const struct routes *r, uint32_t connect_ms)
{
    struct dialler dialler;
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    bool good = port && dialler_open(&dialler, port);
    if (!good) {
        output_message("the upstreams cannot be tried (error %lu)", GetLastError());
    }
    for (uint32_t i = 0; i < routes_count(r) && good; i++) {
        good = try_route(&dialler, r, i, connect_ms);
    }
    if (port) {
        CloseHandle(port);
    }
    return good;
}
