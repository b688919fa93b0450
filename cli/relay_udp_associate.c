/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * UDP through a SOCKS5 proxy (RFC 1928, section 7). Each session has an association of its own: an answer names only
 * the host that it comes from, so of two sockets of programs that ask the same server by one association nobody could
 * say whose an answer is. A control connection is dialled as that of a TCP connection is, addresses, login and time
 * limit included; datagrams wait meanwhile, a few. The proxy says in its answer where it takes datagrams; an address
 * of zeros means its own. When the control connection ends, or says anything more, the session ends; what the program
 * sends next begins a new one.
 */
#include "relay_udp_internal.h"

#include "address.h"

#include <stdlib.h>
#include <string.h>

void udp_associate_wait(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    struct relay_udp *u = s->udp;
    bool room =
        s->state == ASSOCIATING && s->waiting_count < WAITING_MAX && u->waiting_bytes + length <= WAITING_BYTES_MAX;
    struct waiting *w = room ? malloc(sizeof *w + length) : NULL;
    if (!w) {
        relay_udp_count(u, REPORT_UDP_LOST);
        return;
    }
    *w = (struct waiting){.length = length};
    memcpy(w->data, data, length);
    *s->last_waiting = w;
    s->last_waiting = &w->next;
    s->waiting_count++;
    u->waiting_bytes += length;
}

/* The first of them, which the caller frees; NULL: there is none. */
static struct waiting *take_waiting(struct udp_session *s)
{
    struct waiting *w = s->first_waiting;
    if (w) {
        s->first_waiting = w->next;
        s->last_waiting = w->next ? s->last_waiting : &s->first_waiting;
        s->waiting_count--;
        s->udp->waiting_bytes -= w->length;
    }
    return w;
}

void udp_associate_drop(struct udp_session *s)
{
    for (struct waiting *w; (w = take_waiting(s)) != NULL; free(w)) {
        relay_udp_count(s->udp, s->blocked ? REPORT_UDP_BLOCKED : REPORT_UDP_LOST);
    }
}

static void send_waiting(struct udp_session *s)
{
    for (struct waiting *w; s->state == OPEN && (w = take_waiting(s)) != NULL; free(w)) {
        memcpy(relay_udp_payload(s->udp), w->data, w->length);
        udp_session_send(s, w->length);
    }
}

/* Waits for its end. 0, or the Winsock error. */
static DWORD watch_control(struct udp_session *s)
{
    WSABUF buffer = {.len = sizeof s->control_byte, .buf = &s->control_byte};
    DWORD flags = 0;
    s->control_op = (struct relay_op){.kind = RELAY_SESSION, .socket = s->control, .owner = s};
    return relay_op_started(&s->control_op,
                            WSARecv(s->control, &buffer, 1, NULL, &flags, &s->control_op.overlapped, NULL) == 0);
}

/* What waits goes another way: through another proxy, or directly. */
static void next_way(struct udp_session *s)
{
    routes_failed(s->routes, &s->ways.all[s->way]);
    s->via = s->ways.all[++s->way].to;
    report_upstream(s->udp->host->report, s->entry, s->via ? s->via->name : "");
    if (s->via) {
        udp_associate(s);
    } else {
        udp_session_open_directly(s);
        send_waiting(s);
    }
}

static void take_result(struct udp_session *s, const struct dial_result *result)
{
    if (result->socket == INVALID_SOCKET && s->routes && s->way + 1 < s->ways.count) {
        next_way(s);
        return;
    }
    if (result->socket == INVALID_SOCKET) {
        if (s->routes) {
            routes_failed(s->routes, &s->ways.all[s->way]);
        }
        udp_session_fail(s, relay_outcome_of(result->failure), result->failure == UPSTREAM_SILENT ? 0 : result->error);
        return;
    }
    s->control = result->socket;
    s->proxy = result->bound;
    DWORD error = udp_session_open_socket(s, s->proxy.family, NULL);
    if (!error) {
        error = watch_control(s);
    }
    if (error) {
        udp_session_fail(s, REPORT_NO_UPSTREAM, error);
    } else {
        send_waiting(s);
    }
}

static void on_dialled(void *context, const struct dial_result *result)
{
    struct udp_session *s = context;
    s->dial = NULL;
    take_result(s, result);
    if (s->state == FAILED) {
        udp_errors_tell(&s->udp->errors, &s->peer);
    }
}

void udp_associate(struct udp_session *s)
{
    struct dial_plan plan = {
        .via = s->via, .associate = true, .limit_ms = s->udp->host->connect_ms, .done = on_dialled, .context = s};
    s->dial = dial_start(&s->udp->host->dialler, &plan);
    if (!s->dial) {
        udp_session_fail(s, REPORT_FAILED, ERROR_OUTOFMEMORY);
    }
}
