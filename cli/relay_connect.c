/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a relayed connection has its destination dialled (dial.c), and takes over what comes of it: the
 * socket and the destination's first bytes, or the reason why there is none. If the program's connect() has not been
 * answered yet, it is now, as a direct one would have been: accepted, or refused, or left to time out.
 */
#include "relay_conn_internal.h"

#include <string.h>

enum report_outcome relay_outcome_of(enum upstream_failure failure)
{
    static const enum report_outcome outcomes[] = {
        [UPSTREAM_OK] = REPORT_NO_UPSTREAM,    [UPSTREAM_NOT_A_PROXY] = REPORT_NO_PROXY,
        [UPSTREAM_NO_LOGIN] = REPORT_NO_LOGIN, [UPSTREAM_FORBIDS] = REPORT_FORBIDDEN,
        [UPSTREAM_NO_WAY] = REPORT_NO_WAY,     [UPSTREAM_REFUSED] = REPORT_REFUSED,
        [UPSTREAM_NO_UDP] = REPORT_NO_UDP,     [UPSTREAM_SILENT] = REPORT_NO_ANSWER,
    };
    return outcomes[failure];
}

enum { ARRIVAL_MS = 5000 }; /* an accepted connection arrives at once, unless its program has given up */

/* Too late if it was redirected already, or its program has given up; then the one comes, and the other never. */
static void decide(const struct relay_conn *conn, enum redirector_decision decision)
{
    if (relay_conn_is_expected(conn)) {
        redirector_decide(conn->host->redirector, conn->connection_id, decision);
    }
}

static void answer_yes(struct relay_conn *conn)
{
    conn->expected_until = GetTickCount64() + ARRIVAL_MS;
    decide(conn, REDIRECTOR_ACCEPT);
}

static void failed(struct relay_conn *conn, DWORD error)
{
    switch (error) {
    case WSAECONNREFUSED:
        relay_conn_abort(conn, REPORT_REFUSED, 0);
        break;
    case WSAETIMEDOUT:
        relay_conn_abort(conn, REPORT_TIMED_OUT, 0);
        break;
    case WSAECONNRESET: /* accepted, and reset at once */
        relay_conn_abort(conn, REPORT_SERVER_RESET, 0);
        break;
    case WSAENETUNREACH:
    case WSAEHOSTUNREACH:
        relay_conn_abort(conn, REPORT_UNREACHABLE, error);
        break;
    default:
        relay_conn_abort(conn, REPORT_FAILED, error);
    }
}

/* Whether it is a fault of the proxies', so that another way may work. */
static bool is_proxys_fault(const struct relay_conn *conn, const struct dial_result *result)
{
    if (!relay_conn_way(conn)->to) {
        return false;
    }
    switch (result->failure) {
    case UPSTREAM_FORBIDS:
    case UPSTREAM_NO_WAY:
    case UPSTREAM_REFUSED:
    case UPSTREAM_SILENT:
        return !result->asked; /* else it is the destination's; of two proxies, what the first says of the second */
    default:
        return true;
    }
}

/* True: another way is tried. */
static bool try_next_way(struct relay_conn *conn, const struct dial_result *result)
{
    if (!conn->routes || !is_proxys_fault(conn, result)) {
        return false;
    }
    routes_failed(conn->routes, relay_conn_way(conn));
    if (conn->way + 1 >= conn->ways.count || GetTickCount64() >= conn->connect_until) {
        return false;
    }
    char text[sizeof((struct report_connection *)0)->upstream];
    conn->way++;
    way_text(text, sizeof text, relay_conn_way(conn));
    report_upstream(conn->host->report, conn->entry, relay_conn_way(conn)->to ? text : "");
    relay_connect(conn);
    return true;
}

static void on_dialled(void *context, const struct dial_result *result)
{
    struct relay_conn *conn = context;
    conn->dial = NULL;
    if (result->socket == INVALID_SOCKET && try_next_way(conn, result)) {
        relay_conn_free_if_over(conn);
        return;
    }
    if (result->socket != INVALID_SOCKET) {
        conn->sockets[SERVER] = result->socket;
        if (!relay_conn_take_early(conn, result->early, result->early_size)) {
            decide(conn, REDIRECTOR_REFUSE);
            relay_conn_abort(conn, REPORT_FAILED, ERROR_OUTOFMEMORY);
        } else if (relay_conn_is_expected(conn)) {
            conn->state = DIALLED;
            answer_yes(conn);
        } else {
            relay_conn_relay(conn);
        }
        relay_conn_free_if_over(conn);
        return;
    }
    decide(conn, result->error == WSAETIMEDOUT ? REDIRECTOR_DROP : REDIRECTOR_REFUSE);
    if (relay_conn_way(conn)->to) {
        relay_conn_abort(conn, relay_outcome_of(result->failure),
                         result->failure == UPSTREAM_SILENT ? 0 : result->error);
    } else {
        failed(conn, result->error);
    }
    relay_conn_free_if_over(conn);
}

void relay_connect_begin(struct relay_conn *conn)
{
    if (conn->state != NAMING) {
        relay_connect(conn);
    } else if (relay_conn_is_expected(conn)) {
        answer_yes(conn);
    }
}

void relay_connect(struct relay_conn *conn)
{
    ULONGLONG now = GetTickCount64();
    conn->connect_until = conn->connect_until ? conn->connect_until : now + conn->host->connect_ms;
    uint32_t left = now < conn->connect_until ? (uint32_t)(conn->connect_until - now) : 0;
    bool last = conn->way + 1 >= conn->ways.count;
    struct dial_plan plan = {.via = relay_conn_way(conn)->to,
                             .over = relay_conn_way(conn)->over,
                             .destination = conn->destination,
                             .limit_ms = last ? left : left / 2, /* the rest is for the ways behind it */
                             .done = on_dialled,
                             .context = conn};
    conn->dial = dial_start(&conn->host->dialler, &plan);
    if (!conn->dial) {
        decide(conn, REDIRECTOR_REFUSE);
        relay_conn_abort(conn, REPORT_FAILED, ERROR_OUTOFMEMORY);
    }
}
