/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One session. Directly it has a connected socket: what others send there the system drops, and that nobody receives at
 * the destination (ICMP port unreachable, WSAECONNRESET) is told to the program. Through a proxy it has a socket that
 * takes what comes from anywhere: what is not the proxy's is dropped here, so that it is counted.
 *
 * Datagrams are new ones: hop limit, class of service and "do not fragment" are the relay's.
 */
#include "relay_udp_internal.h"

#include "address.h"
#include "output.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVE_BUFFER = 256 * 1024 };

/* ---- life */

/* What HTTP proxies cannot carry goes directly, as it would without a redirector. */
static void tell_http(struct relay_udp *u, const struct upstream *via)
{
    if (!u->told_http) {
        u->told_http = true;
        output_message("an HTTP proxy carries no UDP, nor do two in a row, so datagrams that would go through %s go "
                       "directly; --udp block stops them, --block-quic those to port 443",
                       via->name);
    }
}

static void choose_ways(struct udp_session *s, const char *program, uint32_t upstream)
{
    struct ways all;
    s->ways.count = 0;
    const struct relay_host *host = s->udp->host;
    s->routes = routes_for(host->rules, upstream, host->upstreams, program, &s->destination, &all);
    for (uint32_t i = 0; i < all.count; i++) {
        const struct way *w = &all.all[i];
        if (!w->to || upstream_carries_datagrams(w->to, w->over)) {
            s->ways.all[s->ways.count++] = *w;
        }
    }
    if (!s->ways.count) {
        tell_http(s->udp, all.all[0].to);
        s->ways.count = 1; /* directly */
    }
    s->via = s->ways.all[0].to;
}

static struct report_entry *begin_report(struct udp_session *s, uint32_t upstream)
{
    char program[3 * 260];
    struct report_connection about = {.protocol = REDIRECTOR_UDP, .pid = s->pid, .destination = s->destination};
    text_process_name(about.process, sizeof about.process / sizeof about.process[0], about.pid);
    text_copy_utf8(program, sizeof program, about.process);
    choose_ways(s, program, upstream);
    if (s->via) {
        snprintf(about.upstream, sizeof about.upstream, "%s", s->via->name);
    }
    return report_begin(s->udp->host->report, &about);
}

struct udp_session *udp_session_begin(struct relay_udp *u, const redirector_address *peer,
                                      const redirector_destination *destination)
{
    struct udp_session *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->udp = u;
    s->peer = *peer;
    s->pid = destination->pid;
    s->destination = destination->destination;
    s->socket = s->control = INVALID_SOCKET;
    s->last_waiting = &s->first_waiting;
    s->state = ASSOCIATING;
    s->entry = begin_report(s, destination->upstream);
    if (!s->entry) {
        routes_release(s->routes);
        free(s);
        return NULL;
    }
    s->judge =
        u->crypto ? relay_judge_new(u->host, REDIRECTOR_UDP, s->pid, &s->destination) : NULL; /* else no name comes */
    return s;
}

static void free_if_over(struct udp_session *s)
{
    if (s->state == ENDED && !s->op.pending && !s->control_op.pending) {
        s->udp->ending--;
        udp_name_free(s);
        routes_release(s->routes);
        free(s);
    }
}

static void close_one(SOCKET *s)
{
    if (*s != INVALID_SOCKET) {
        CancelIoEx((HANDLE)*s, NULL);
        closesocket(*s);
    }
    *s = INVALID_SOCKET;
}

static void close_all(struct udp_session *s)
{
    close_one(&s->socket);
    close_one(&s->control);
    udp_associate_drop(s);
}

static void report(struct udp_session *s, enum report_outcome outcome, DWORD error)
{
    if (s->entry) {
        report_end(s->udp->host->report, s->entry, outcome, error);
    }
    s->entry = NULL;
}

void udp_session_end(struct udp_session *s, enum report_outcome outcome)
{
    relay_udp_remove(s);
    s->state = ENDED;
    dial_cancel(s->dial);
    s->dial = NULL;
    close_all(s);
    report(s, outcome == REPORT_CLOSED && s->refused && !s->answered ? REPORT_REFUSED : outcome, 0);
    free_if_over(s);
}

void udp_session_fail(struct udp_session *s, enum report_outcome outcome, DWORD error)
{
    s->state = FAILED;
    s->failed_at = GetTickCount64();
    close_all(s);
    report(s, outcome, error);
}

void udp_session_judge(struct udp_session *s, const char *host)
{
    wchar_t process[260];
    char program[3 * 260];
    redirector_rule_verdict v;
    if (!relay_judge_by(s->judge, host, &v)) {
        return;
    }
    if (v.action == REDIRECTOR_RULE_BLOCK) {
        s->blocked = true;
        dial_cancel(s->dial);
        s->dial = NULL;
        udp_session_fail(s, REPORT_BLOCKED, 0);
    } else if (s->state == ASSOCIATING && !s->dial) { /* nothing has been sent yet */
        routes_release(s->routes);
        s->routes = NULL;
        s->ways = (struct ways){.count = 1};
        s->via = NULL;
        if (v.action == REDIRECTOR_RULE_REDIRECT) {
            text_process_name(process, sizeof process / sizeof process[0], s->pid);
            text_copy_utf8(program, sizeof program, process);
            choose_ways(s, program, v.upstream);
        }
        report_upstream(s->udp->host->report, s->entry, s->via ? s->via->name : "");
    }
}

/* ---- what comes back */

static void refused(struct udp_session *s)
{
    s->refused = true;
    udp_errors_tell(&s->udp->errors, &s->peer);
}

/* Wine's Winsock has the second one for a port where nobody receives. */
static bool is_unreachable(DWORD error)
{
    return error == WSAECONNRESET || error == WSAECONNREFUSED || error == WSAENETRESET;
}

static void take_from_proxy(struct udp_session *s, const redirector_address *sender, uint32_t length)
{
    uint8_t *data = relay_udp_payload(s->udp);
    redirector_address from, destination = address_without_scope(&s->destination);
    uint32_t header = address_equal(sender, &s->proxy) ? socks_udp_read(data, length, &from) : 0;
    if (header && address_equal(&from, &destination)) {
        relay_udp_answer(s, data + header, length - header);
    } else {
        relay_udp_count(s->udp, REPORT_UDP_INVALID);
    }
}

/* False: there is nothing more for now. */
static bool receive_one(struct udp_session *s)
{
    struct sockaddr_storage from;
    int from_size = sizeof from;
    uint8_t *data = relay_udp_payload(s->udp);
    int got = recvfrom(s->socket, (char *)data, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &from_size);
    if (got < 0) {
        DWORD error = (DWORD)WSAGetLastError();
        if (!s->via && is_unreachable(error)) {
            refused(s);
        }
        return error != WSAEWOULDBLOCK;
    }
    if (s->via) {
        redirector_address sender = address_from_sockaddr(&from);
        take_from_proxy(s, &sender, (uint32_t)got);
    } else {
        relay_udp_answer(s, data, (uint32_t)got);
    }
    return true;
}

static void serve(struct udp_session *s)
{
    for (int attempt = 0; attempt < ARM_ATTEMPTS; attempt++) {
        for (int i = 0; i < DATAGRAMS_AT_ONCE && receive_one(s); i++) {
            ;
        }
        if (relay_udp_arm(s->udp, &s->op, RELAY_SESSION, s->socket, s)) {
            return;
        }
    }
    udp_session_fail(s, REPORT_FAILED, (DWORD)WSAGetLastError());
    udp_errors_tell(&s->udp->errors, &s->peer);
}

void udp_session_look(struct udp_session *s)
{
    if (s->state == OPEN && s->refused && s->op.pending) {
        CancelIoEx((HANDLE)s->socket, &s->op.overlapped);
    }
}

void udp_session_complete(struct udp_session *s, struct relay_op *op, DWORD error)
{
    if (s->state == OPEN && op == &s->control_op) { /* the association ends with it, whatever it was */
        udp_session_end(s, REPORT_CLOSED);
        return;
    }
    if (s->state == OPEN) {
        if (!s->via && is_unreachable(error)) {
            refused(s);
        }
        serve(s);
    }
    free_if_over(s);
}

/* ---- what the program sends */

DWORD udp_session_open_socket(struct udp_session *s, uint32_t family, const redirector_address *to)
{
    struct sockaddr_storage name = {.ss_family = family == 6 ? AF_INET6 : AF_INET};
    int size = family == 6 ? (int)sizeof(struct sockaddr_in6) : (int)sizeof(struct sockaddr_in);
    s->socket = relay_datagram_socket(family == 6 ? AF_INET6 : AF_INET, RECEIVE_BUFFER);
    if (s->socket == INVALID_SOCKET) {
        return (DWORD)WSAGetLastError();
    }
    bool good = to ? (address_to_sockaddr(to, &name), connect(s->socket, (struct sockaddr *)&name, size)) == 0
                   : bind(s->socket, (struct sockaddr *)&name, size) == 0;
    if (!good) {
        return (DWORD)WSAGetLastError();
    }
    if (!CreateIoCompletionPort((HANDLE)s->socket, s->udp->host->dialler.port, 0, 0)) {
        return GetLastError();
    }
    s->state = OPEN;
    return relay_udp_arm(s->udp, &s->op, RELAY_SESSION, s->socket, s) ? 0 : (DWORD)WSAGetLastError();
}

void udp_session_open_directly(struct udp_session *s)
{
    DWORD error = udp_session_open_socket(s, s->destination.family, &s->destination);
    bool unreachable = error == WSAENETUNREACH || error == WSAEHOSTUNREACH;
    if (error) {
        udp_session_fail(s, unreachable ? REPORT_UNREACHABLE : REPORT_FAILED, error);
    }
}

/* 0, or the Winsock error. */
static DWORD send_directly(struct udp_session *s, uint32_t length)
{
    bool sent = send(s->socket, (const char *)relay_udp_payload(s->udp), (int)length, 0) >= 0;
    return sent ? 0 : (DWORD)WSAGetLastError();
}

static DWORD send_to_proxy(struct udp_session *s, uint32_t length)
{
    uint8_t header[SOCKS_UDP_HEADER_MAX], *payload = relay_udp_payload(s->udp);
    uint32_t size = socks_udp_write(header, &s->destination);
    struct sockaddr_storage to;
    int to_size = address_to_sockaddr(&s->proxy, &to);
    memcpy(payload - size, header, size);
    bool sent =
        sendto(s->socket, (const char *)payload - size, (int)(size + length), 0, (struct sockaddr *)&to, to_size) >= 0;
    return sent ? 0 : (DWORD)WSAGetLastError();
}

void udp_session_send(struct udp_session *s, uint32_t length)
{
    if (s->state == ASSOCIATING && s->via && !s->dial) {
        udp_associate(s);
    }
    if (s->state == ASSOCIATING && s->via) {
        udp_associate_wait(s, relay_udp_payload(s->udp), length);
        return;
    }
    if (s->state == ASSOCIATING) {
        udp_session_open_directly(s);
    }
    if (s->state == FAILED) {
        relay_udp_count(s->udp, s->blocked ? REPORT_UDP_BLOCKED : REPORT_UDP_LOST);
        udp_errors_tell(&s->udp->errors, &s->peer);
        return;
    }
    DWORD error = s->via ? send_to_proxy(s, length) : send_directly(s, length);
    if (error && !s->via && is_unreachable(error)) { /* that was the one before; this one was not sent */
        refused(s);
        error = send_directly(s, length);
    }
    if (error) {
        relay_udp_count(s->udp, REPORT_UDP_LOST);
    } else {
        report_bytes(s->entry, length, 0);
    }
}
