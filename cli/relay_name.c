/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the host's name is in the first data that the program sends. Usually the first segment has it;
 * if it is incomplete (a long ClientHello comes in two), segments are joined, up to the size within which a name must
 * be.
 *
 * Where that name may change what rules say of the connection (relay_judge.h), it is not dialled before: its program is
 * answered at once, and what it sends waits in the up half's buffer. A program that waits for its server to speak first
 * is connected when NAME_MS are over, by what was known without a name. A name that comes later can still have the
 * connection blocked, but no more led elsewhere.
 */
#include "relay_conn_internal.h"

#include "host_name.h"

#include <stdlib.h>
#include <string.h>

enum { HEARD_MAX = 8192, NAME_MS = 300 };

/* ---- waiting */

void relay_name_wait(struct relay_conn *conn)
{
    struct relay_host *host = conn->host;
    conn->unnamed_until = GetTickCount64() + NAME_MS;
    *(host->unnamed ? host->last_unnamed : &host->unnamed) = conn;
    host->last_unnamed = &conn->next_unnamed;
}

void relay_name_wait_no_more(struct relay_conn *conn)
{
    struct relay_conn **at = &conn->host->unnamed;
    if (!conn->unnamed_until) {
        return;
    }
    while (*at != conn) {
        at = &(*at)->next_unnamed;
    }
    *at = conn->next_unnamed;
    if (!*at) {
        conn->host->last_unnamed = at;
    }
    conn->unnamed_until = 0;
    conn->next_unnamed = NULL;
}

static void dial(struct relay_conn *conn)
{
    relay_name_wait_no_more(conn);
    conn->state = DIALLING;
    relay_connect(conn);
}

DWORD relay_names_tick(struct relay_host *host)
{
    ULONGLONG now = GetTickCount64();
    struct relay_conn *conn;
    while ((conn = host->unnamed) != NULL && now >= conn->unnamed_until) {
        dial(conn);
        relay_conn_free_if_over(conn);
    }
    return conn ? (DWORD)(conn->unnamed_until - now) : INFINITE;
}

/* ---- judging */

/* `name`: NULL if there is none, yet or at all. */
static void judge(struct relay_conn *conn, const char *name)
{
    redirector_rule_verdict v;
    bool judged = name && relay_judge_by(conn->judge, name, &v);
    if (judged && v.action == REDIRECTOR_RULE_BLOCK) {
        relay_conn_abort(conn, REPORT_BLOCKED, 0);
        return;
    }
    if (conn->state == NAMING && conn->name_wanted && relay_conn_receive_more(conn)) {
        return; /* the rest of the name */
    }
    if (conn->state == NAMING) {
        if (judged) {
            relay_conn_choose_again(conn, &v);
        }
        dial(conn);
    }
    if (!conn->name_wanted) {
        relay_judge_free(conn->judge);
        conn->judge = NULL;
    }
}

/* ---- hearing */

/* Joins it with what was heard before; *size: of all. */
static const uint8_t *join(struct relay_conn *conn, const char *data, size_t *size)
{
    if (!conn->heard) {
        return (const uint8_t *)data;
    }
    size_t part = *size < HEARD_MAX - conn->heard_size ? *size : HEARD_MAX - conn->heard_size;
    memcpy(conn->heard + conn->heard_size, data, part);
    *size = conn->heard_size += part;
    return conn->heard;
}

/* Keeps it for when there is more of it. */
static void keep(struct relay_conn *conn, const uint8_t *data, size_t size)
{
    if (!conn->heard && size < HEARD_MAX) {
        conn->heard = malloc(HEARD_MAX);
        if (conn->heard) {
            memcpy(conn->heard, data, size);
            conn->heard_size = size;
        }
    }
}

void relay_name_heard(struct relay_conn *conn, const char *data, size_t size)
{
    char name[HOST_NAME_MAX_BYTES];
    if (!conn->name_wanted) {
        return;
    }
    bool more = size;
    const uint8_t *all = join(conn, data, &size);
    enum host_name_result result = more ? host_name_find(all, size, name) : HOST_NAME_NONE;
    if (result == HOST_NAME_FOUND) {
        report_host(conn->host->report, conn->entry, name);
    } else if (result == HOST_NAME_MORE) {
        keep(conn, all, size);
    }
    conn->name_wanted = result == HOST_NAME_MORE && conn->heard && conn->heard_size < HEARD_MAX;
    if (!conn->name_wanted) {
        free(conn->heard);
        conn->heard = NULL;
    }
    if (conn->judge) {
        judge(conn, result == HOST_NAME_FOUND ? name : NULL);
    }
}
