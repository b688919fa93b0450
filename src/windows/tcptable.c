/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the TCP table is a snapshot of all sockets of one family with their owners.
 *
 * iphlpapi.dll is resolved at run time, so that programs which link the static archive need no import library for it.
 * The table can grow between asking for its size and taking it; then it is taken again with a larger buffer.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include "windows/tcptable.h"
#include "windows/text.h"

#include <stdlib.h>

enum { ATTEMPTS = 8, EXTRA_BYTES = 4096, BYTES_MAX = 64 << 20 }; /* more than a million sockets */

enum { QUESTIONS = 1024 }; /* owners that are looked for at a time */

static const uint32_t families[] = {FAMILY_IP4, FAMILY_IP6}; /* IPv4 first: it has the twins of dual-stack sockets */

typedef DWORD WINAPI get_table_fn(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class,
                                  ULONG reserved);

enum { FAMILIES = 2 };

struct snapshot {
    void *table; /* NULL: none yet */
    DWORD size;
    bool taken; /* false: it could not be */
};

struct tcptable {
    HMODULE module;
    get_table_fn *get_table;
    struct snapshot snapshots[FAMILIES];
    uint32_t family, row;         /* in `families`; the next row that is told of */
    uint16_t by_port[PORT_COUNT]; /* source port -> the last question about it, plus 1; 0: none */
    uint16_t next[QUESTIONS];     /* question -> the one before it about the same port, plus 1 */
};

struct tcptable *tcptable_open(void)
{
    struct tcptable *t = calloc(1, sizeof *t);
    wchar_t *path = path_system_file(L"iphlpapi.dll");
    if (t && path) {
        t->module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    }
    free(path);
    if (t && t->module) {
        t->get_table = (get_table_fn *)(void (*)(void))GetProcAddress(t->module, "GetExtendedTcpTable");
    }
    if (t && t->get_table) {
        return t;
    }
    tcptable_close(t);
    return NULL;
}

void tcptable_close(struct tcptable *t)
{
    if (!t) {
        return;
    }
    if (t->module) {
        FreeLibrary(t->module);
    }
    for (int f = 0; f < FAMILIES; f++) {
        free(t->snapshots[f].table);
    }
    free(t);
}

static bool take_snapshot(const struct tcptable *t, struct snapshot *s, uint32_t family, TCP_TABLE_CLASS class)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        DWORD size = s->size;
        DWORD status = t->get_table(s->table, &size, FALSE, family == FAMILY_IP4 ? AF_INET : AF_INET6, class, 0);
        if (status == NO_ERROR && s->table) {
            return true;
        }
        if (status != ERROR_INSUFFICIENT_BUFFER) {
            return false;
        }
        DWORD roomy = size + size / 8 + EXTRA_BYTES;
        void *larger = size <= BYTES_MAX ? realloc(s->table, roomy) : NULL;
        if (!larger) {
            return false;
        }
        s->table = larger;
        s->size = roomy;
    }
    return false;
}

bool tcptable_read(struct tcptable *t, bool all)
{
    bool whole = true;
    t->family = t->row = 0;
    for (int f = 0; f < FAMILIES; f++) {
        /* All sockets, not just connections: the socket may have sent no more than its SYN. */
        TCP_TABLE_CLASS class = all ? TCP_TABLE_OWNER_PID_ALL : TCP_TABLE_OWNER_PID_LISTENER;
        t->snapshots[f].taken = take_snapshot(t, &t->snapshots[f], families[f], class);
        whole = whole && t->snapshots[f].taken;
    }
    return whole;
}

struct socket_row {
    struct tuple tuple;
    DWORD state;
    uint32_t pid;
};

/* Ports stand in the low 16 bits in network order; the high bits mean nothing. */
static be16 port_of(DWORD field)
{
    return (be16){(uint16_t)field};
}

static struct socket_row row4(const MIB_TCPROW_OWNER_PID *r)
{
    return (struct socket_row){
        .tuple = {.src = ip_addr_from_ip4((const uint8_t *)&r->dwLocalAddr),
                  .dst = ip_addr_from_ip4((const uint8_t *)&r->dwRemoteAddr),
                  .src_port = port_of(r->dwLocalPort),
                  .dst_port = port_of(r->dwRemotePort),
                  .family = FAMILY_IP4},
        .state = r->dwState,
        .pid = r->dwOwningPid,
    };
}

/*
 * The documentation says "network byte order", but programs take these fields as they stand. An interface's index has 24
 * bits (NET_LUID), so a greater number is one whose bytes are the other way round.
 */
static uint32_t scope_of(DWORD field)
{
    return field >> 24 ? __builtin_bswap32(field) : field;
}

static struct socket_row row6(const MIB_TCP6ROW_OWNER_PID *r)
{
    struct socket_row row = {
        .tuple = {.src = ip_addr_from_ip6(r->ucLocalAddr),
                  .dst = ip_addr_from_ip6(r->ucRemoteAddr),
                  .src_port = port_of(r->dwLocalPort),
                  .dst_port = port_of(r->dwRemotePort),
                  .family = FAMILY_IP6},
        .state = r->dwState,
        .pid = r->dwOwningPid,
    };
    if (tuple_is_scoped(&row.tuple)) {
        row.tuple.scope = scope_of(ip_addr_is_link_local(&row.tuple.dst) ? r->dwRemoteScopeId : r->dwLocalScopeId);
    }
    return row;
}

static uint32_t row_count(const struct snapshot *s)
{
    return s->taken ? *(const DWORD *)s->table : 0; /* both tables start with it */
}

static struct socket_row row_at(const struct snapshot *s, uint32_t family, uint32_t i)
{
    if (family == FAMILY_IP4) {
        return row4(&((const MIB_TCPTABLE_OWNER_PID *)s->table)->table[i]);
    }
    return row6(&((const MIB_TCP6TABLE_OWNER_PID *)s->table)->table[i]);
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
    const struct snapshot *s = &t->snapshots[f];
    for (uint32_t i = 0, rows = row_count(s); i < rows; i++) {
        struct socket_row row = row_at(s, families[f], i);
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
        for (int f = 0; f < FAMILIES; f++) {
            if (index_questions(t, families[f], tuples + from, some)) {
                answer_questions(t, f, tuples + from, pids + from);
            }
            forget_questions(t, tuples + from, some);
        }
    }
}

/* ---- rows */

bool tcptable_next(struct tcptable *t, struct tcptable_row *out)
{
    while (t->family < FAMILIES && t->row >= row_count(&t->snapshots[t->family])) {
        t->family++;
        t->row = 0;
    }
    if (t->family == FAMILIES) {
        return false;
    }
    uint32_t family = families[t->family];
    struct socket_row row = row_at(&t->snapshots[t->family], family, t->row++);
    *out = (struct tcptable_row){row.tuple, row.pid, row.state == MIB_TCP_STATE_LISTEN};
    if (out->listens) { /* a listener's remote port is not initialized by Windows */
        out->tuple.dst = ip_addr_any(family);
        out->tuple.dst_port = be16_from_host(0);
    }
    return true;
}
