/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Theory of operation: the TCP table is a snapshot of all sockets of one family with their owners (ip_table.h). */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include "windows/ip_table.h"
#include "windows/tcptable.h"

#include <stddef.h>
#include <stdlib.h>

enum { QUESTIONS = 1024 }; /* owners that are looked for at a time */

struct tcptable {
    struct ip_table ip;
    int family;                   /* in ip_table_families */
    uint32_t row;                 /* the next one that is told of */
    uint16_t by_port[PORT_COUNT]; /* source port -> the last question about it, plus 1; 0: none */
    uint16_t next[QUESTIONS];     /* question -> the one before it about the same port, plus 1 */
};

struct tcptable *tcptable_open(void)
{
    struct tcptable *t = calloc(1, sizeof *t);
    if (t && ip_table_open(&t->ip, "GetExtendedTcpTable")) {
        return t;
    }
    tcptable_close(t);
    return NULL;
}

void tcptable_close(struct tcptable *t)
{
    if (t) {
        ip_table_close(&t->ip);
        free(t);
    }
}

bool tcptable_read(struct tcptable *t, bool all)
{
    t->family = 0;
    t->row = 0;
    /* All sockets, not just connections: the socket may have sent no more than its SYN. */
    return ip_table_take(&t->ip, all ? TCP_TABLE_OWNER_PID_ALL : TCP_TABLE_OWNER_PID_LISTENER);
}

struct socket_row {
    struct tuple tuple;
    DWORD state;
    uint32_t pid;
};

static struct socket_row row4(const MIB_TCPROW_OWNER_PID *r)
{
    return (struct socket_row){
        .tuple = {.src = ip_addr_from_ip4((const uint8_t *)&r->dwLocalAddr),
                  .dst = ip_addr_from_ip4((const uint8_t *)&r->dwRemoteAddr),
                  .src_port = ip_table_port(r->dwLocalPort),
                  .dst_port = ip_table_port(r->dwRemotePort),
                  .family = FAMILY_IP4},
        .state = r->dwState,
        .pid = r->dwOwningPid,
    };
}

static struct socket_row row6(const MIB_TCP6ROW_OWNER_PID *r)
{
    struct socket_row row = {
        .tuple = {.src = ip_addr_from_ip6(r->ucLocalAddr),
                  .dst = ip_addr_from_ip6(r->ucRemoteAddr),
                  .src_port = ip_table_port(r->dwLocalPort),
                  .dst_port = ip_table_port(r->dwRemotePort),
                  .family = FAMILY_IP6},
        .state = r->dwState,
        .pid = r->dwOwningPid,
    };
    if (tuple_is_scoped(&row.tuple)) {
        row.tuple.scope =
            ip_table_scope(ip_addr_is_link_local(&row.tuple.dst) ? r->dwRemoteScopeId : r->dwLocalScopeId);
    }
    return row;
}

static uint32_t row_count(const struct tcptable *t, int f)
{
    if (ip_table_families[f] == FAMILY_IP4) {
        return ip_table_rows(&t->ip, f, offsetof(MIB_TCPTABLE_OWNER_PID, table), sizeof(MIB_TCPROW_OWNER_PID));
    }
    return ip_table_rows(&t->ip, f, offsetof(MIB_TCP6TABLE_OWNER_PID, table), sizeof(MIB_TCP6ROW_OWNER_PID));
}

static struct socket_row row_at(const struct tcptable *t, int f, uint32_t i)
{
    const void *table = t->ip.snapshots[f].table;
    if (ip_table_families[f] == FAMILY_IP4) {
        return row4(&((const MIB_TCPTABLE_OWNER_PID *)table)->table[i]);
    }
    return row6(&((const MIB_TCP6TABLE_OWNER_PID *)table)->table[i]);
}

/* ---- owners */

/* Puts the questions about a family into `by_port`. false: there is none. */
static bool index_questions(struct tcptable *t, uint32_t family, const struct tuple *tuples, uint32_t count)
{
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (tuples[i].family == family) {
            uint16_t *first = &t->by_port[be16_to_host(tuples[i].src_port)];
            t->next[i] = *first;
            *first = (uint16_t)(i + 1);
            any = true;
        }
    }
    return any;
}

static void forget_questions(struct tcptable *t, const struct tuple *tuples, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        t->by_port[be16_to_host(tuples[i].src_port)] = 0;
    }
}

static bool fits(const struct socket_row *row, const struct tuple *wanted)
{
    struct tuple t = row->tuple;
    if (!t.scope || !wanted->scope) {
        t.scope = wanted->scope;
    }
    return tuple_equal(&t, wanted);
}

static void answer_questions(const struct tcptable *t, int f, const struct tuple *tuples, uint32_t *pids)
{
    for (uint32_t i = 0, rows = row_count(t, f); i < rows; i++) {
        struct socket_row row = row_at(t, f, i);
        if (!row.pid || row.state == MIB_TCP_STATE_LISTEN) {
            continue; /* a connection in TIME_WAIT has no owner and may share its tuple with a new one */
        }
        for (uint16_t at = t->by_port[be16_to_host(row.tuple.src_port)]; at; at = t->next[at - 1]) {
            if (!pids[at - 1] && fits(&row, &tuples[at - 1])) {
                pids[at - 1] = row.pid;
            }
        }
    }
}

void tcptable_owners(struct tcptable *t, const struct tuple *tuples, uint32_t count, uint32_t *pids)
{
    for (uint32_t from = 0; from < count; from += QUESTIONS) {
        uint32_t some = count - from < QUESTIONS ? count - from : QUESTIONS;
        for (int f = 0; f < IP_TABLE_FAMILIES; f++) {
            if (index_questions(t, ip_table_families[f], tuples + from, some)) {
                answer_questions(t, f, tuples + from, pids + from);
            }
            forget_questions(t, tuples + from, some);
        }
    }
}

/* ---- rows */

bool tcptable_next(struct tcptable *t, struct tcptable_row *out)
{
    while (t->family < IP_TABLE_FAMILIES && t->row >= row_count(t, t->family)) {
        t->family++;
        t->row = 0;
    }
    if (t->family == IP_TABLE_FAMILIES) {
        return false;
    }
    struct socket_row row = row_at(t, t->family, t->row++);
    *out = (struct tcptable_row){row.tuple, row.pid, row.state == MIB_TCP_STATE_LISTEN};
    if (out->listens) { /* a listener's remote port is not initialized by Windows */
        out->tuple.dst = ip_addr_any(row.tuple.family);
        out->tuple.dst_port = be16_from_host(0);
    }
    return true;
}
