/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a relayed connection begins in one of two ways. Mostly its program's connect() waits for a
 * decision: then it has no client socket at first, the destination is dialled, and when the program's connection has
 * been accepted it is known by its id. Where nobody was asked (what comes in; what was redirected because too many
 * waited), it begins with the client.
 *
 * Where rules name hosts, and the name that the program asks for would change what becomes of it, it is dialled only when
 * the program has said that name (relay_name.c).
 */
#include "relay_loop.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>

void relay_conn_expected_no_more(struct relay_conn *conn)
{
    struct relay_conn **at = &conn->host->expected;
    while (*at && *at != conn) {
        at = &(*at)->next_expected;
    }
    if (*at) {
        *at = conn->next_expected;
    }
}

/* By the rule that has redirected it; where that names none, by --upstream. */
static void choose_ways(struct relay_conn *conn, const char *program, uint32_t upstream)
{
    conn->routes =
        routes_for(conn->host->rules, upstream, conn->host->upstreams, program, &conn->destination, &conn->ways);
    if (way_near(relay_conn_way(conn)) && relay_loop_closes(conn, program)) {
        conn->ways = (struct ways){.count = 1};
    }
}

void relay_conn_choose_again(struct relay_conn *conn, const redirector_rule_verdict *v)
{
    wchar_t process[260];
    char program[3 * 260], text[sizeof((struct report_connection *)0)->upstream] = "";
    routes_release(conn->routes);
    conn->routes = NULL;
    conn->ways = (struct ways){.count = 1};
    if (v->action == REDIRECTOR_RULE_REDIRECT) {
        text_process_name(process, sizeof process / sizeof process[0], conn->pid);
        text_copy_utf8(program, sizeof program, process);
        choose_ways(conn, program, v->upstream);
    }
    if (relay_conn_way(conn)->to) {
        way_text(text, sizeof text, relay_conn_way(conn));
    }
    report_upstream(conn->host->report, conn->entry, text);
}

static struct report_entry *begin_report(struct relay_conn *conn, const redirector_address *peer, uint32_t upstream)
{
    char program[3 * 260];
    struct report_connection about = {.pid = conn->pid, .incoming = conn->incoming, .destination = conn->destination};
    /* now, because at the end the process may be gone */
    text_process_name(about.process, sizeof about.process / sizeof about.process[0], about.pid);
    text_copy_utf8(program, sizeof program, about.process);
    conn->ways = (struct ways){.count = 1};
    if (about.incoming && peer) {
        about.peer = *peer;
    } else {
        choose_ways(conn, program, upstream);
    }
    if (relay_conn_way(conn)->to) {
        way_text(about.upstream, sizeof about.upstream, relay_conn_way(conn));
    }
    return report_begin(conn->host->report, &about);
}

/* A new connection, without sockets. `peer`: of an incoming one. NULL: no memory. */
static struct relay_conn *begin(struct relay_host *host, const redirector_address *peer,
                                const redirector_destination *destination)
{
    struct relay_conn *conn = calloc(1, sizeof *conn);
    if (conn) {
        conn->host = host;
        conn->destination = destination->destination;
        conn->pid = destination->pid;
        conn->incoming = destination->incoming != 0;
        conn->entry = begin_report(conn, peer, destination->upstream);
    }
    if (!conn || !conn->entry) {
        routes_release(conn ? conn->routes : NULL);
        free(conn);
        return NULL;
    }
    conn->sockets[CLIENT] = conn->sockets[SERVER] = INVALID_SOCKET;
    conn->name_wanted = !conn->incoming;
    conn->judge = conn->incoming ? NULL : relay_judge_new(host, REDIRECTOR_TCP, conn->pid, &conn->destination);
    conn->state = conn->judge ? NAMING : DIALLING;
    conn->next = host->first;
    if (conn->next) {
        conn->next->previous = conn;
    }
    host->first = conn;
    return conn;
}

/* The program's connection has come. */
static void begin_client(struct relay_conn *conn, SOCKET client)
{
    conn->sockets[CLIENT] = client;
    relay_set_up_socket(client);
    if (!CreateIoCompletionPort((HANDLE)client, conn->host->dialler.port, 0, 0)) {
        relay_conn_abort(conn, REPORT_FAILED, GetLastError());
        return;
    }
    relay_conn_receive(conn, UP);
}

static struct relay_conn *expected_one(const struct relay_host *host, uint64_t connection_id)
{
    struct relay_conn *conn = host->expected;
    while (conn && (!connection_id || conn->connection_id != connection_id)) {
        conn = conn->next_expected;
    }
    return conn;
}

void relay_conn_expect(struct relay_host *host, const redirector_connection *asked)
{
    redirector_destination destination = {
        .pid = asked->pid, .destination = asked->destination, .upstream = asked->upstream};
    struct relay_conn *conn = begin(host, NULL, &destination);
    if (conn) { /* else it is redirected when its time is up */
        conn->connection_id = asked->connection_id;
        conn->next_expected = host->expected;
        host->expected = conn;
        relay_connect_begin(conn);
        relay_conn_free_if_over(conn);
    }
}

void relay_conn_open(struct relay_host *host, SOCKET client, const redirector_address *peer,
                     const redirector_destination *destination)
{
    struct relay_conn *expected = expected_one(host, destination->connection_id);
    struct relay_conn *conn = expected ? expected : begin(host, peer, destination);
    if (!conn) {
        relay_reset(client);
        return;
    }
    if (expected) {
        relay_conn_expected_no_more(conn);
    } else {
        relay_connect_begin(conn);
    }
    if (conn->state != CLOSING) {
        begin_client(conn, client);
    } else {
        relay_reset(client);
    }
    if (conn->state == DIALLED) {
        relay_conn_relay(conn);
    } else if (conn->state == NAMING) {
        relay_name_wait(conn);
    }
    relay_conn_free_if_over(conn);
}
