/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the library spares who listens as the upstream. But the listener may be a forwarder, or a master
 * whose workers connect for it. Then what such a process opens for one of our connections comes to the relay, and must
 * not go through the upstream once more. It is recognised by the TCP table:
 *
 *   relay ── connection ──→ a process ──→ one that it is connected to, and so on ──→ opens a connection ──→ relay
 *
 * Whoever has the other end of a connection of ours to the upstream serves it, and so does whoever such a process is
 * connected to on this machine. An upstream may well connect to an ordinary server of the tree; so it is a loop only if
 * what that process opens has the destination of a connection that is on its way through the upstream.
 */
#include "relay_loop.h"

#include "address.h"
#include "output.h"
#include "tcp_rows.h"

enum { SERVING_MAX = 64 };

/* Processes that serve the upstream. */
struct serving {
    uint32_t pids[SERVING_MAX];
    uint32_t count;
};

static bool has(const struct serving *s, uint32_t pid)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->pids[i] == pid) {
            return true;
        }
    }
    return false;
}

static void add(struct serving *s, uint32_t pid)
{
    if (pid && pid != GetCurrentProcessId() && s->count < SERVING_MAX && !has(s, pid)) {
        s->pids[s->count++] = pid;
    }
}

/* ---- which upstreams are here */

static bool is_local(const redirector_address *address)
{
    struct sockaddr_storage name;
    redirector_address any_port = *address;
    any_port.port = 0;
    int size = address_to_sockaddr(&any_port, &name);
    SOCKET s = relay_socket(name.ss_family);
    bool local = s != INVALID_SOCKET && bind(s, (struct sockaddr *)&name, size) == 0; /* Windows lets no other be had */
    if (s != INVALID_SOCKET) {
        closesocket(s);
    }
    return local;
}

void relay_loop_find_local(struct upstream_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct upstream *u = &list->entries[i];
        u->local = 0;
        for (uint32_t k = 0; k < u->address_count; k++) {
            u->local |= is_local(&u->addresses[k]) ? 1u << k : 0;
        }
    }
}

uint32_t relay_loop_local(const struct upstream_list *list, redirector_address *out, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct upstream *u = &list->entries[i];
        for (uint32_t k = 0; u->local >> k && count < max; k++) {
            if (u->local >> k & 1) {
                out[count++] = u->addresses[k];
            }
        }
    }
    return count;
}

/* ---- who serves one */

static redirector_address name_of(SOCKET s, int(WSAAPI *get_name)(SOCKET, struct sockaddr *, int *))
{
    struct sockaddr_storage name = {.ss_family = AF_INET};
    int size = sizeof name;
    get_name(s, (struct sockaddr *)&name, &size);
    return address_from_sockaddr(&name);
}

static bool is_beside(const struct relay_conn *other, const struct relay_conn *conn)
{
    return other != conn && way_near(relay_conn_way(other)) == way_near(relay_conn_way(conn));
}

/*
 * Whether connections are on their way through the upstream as they are in a loop: one of another process, with which it
 * began, and one with the same destination. So the table is not read for each connection of a busy program.
 */
static bool may_close(const struct relay_conn *conn)
{
    bool others = false, same = false;
    for (const struct relay_conn *other = conn->host->first; other; other = other->next) {
        if (is_beside(other, conn)) {
            others |= other->pid != conn->pid;
            same |= address_equal(&other->destination, &conn->destination);
        }
    }
    return others && same;
}

/* Who has the other ends of our connections to the upstream. */
static void find_other_ends(const struct relay_conn *conn, const struct tcp_rows *rows, struct serving *serving)
{
    for (const struct relay_conn *other = conn->host->first; other; other = other->next) {
        SOCKET s = other->dial ? dial_upstream(other->dial) : other->sockets[SERVER];
        if (is_beside(other, conn) && s != INVALID_SOCKET) {
            redirector_address from = name_of(s, getsockname), to = name_of(s, getpeername);
            add(serving, tcp_rows_far_end(rows, &from, &to));
        }
    }
}

/* Whom those are connected to on this machine, and so on. */
static void follow(const struct tcp_rows *rows, struct serving *serving)
{
    for (uint32_t before = 0; before != serving->count;) {
        before = serving->count;
        for (size_t i = 0; i < rows->count; i++) {
            const struct tcp_row *row = &rows->rows[i];
            if (!row->listens && has(serving, row->pid)) {
                add(serving, tcp_rows_far_end(rows, &row->local, &row->remote));
            }
        }
    }
}

static void tell_once(struct relay_host *host, const struct relay_conn *conn, const char *program)
{
    enum { TOLD_MAX = sizeof host->loops_told / sizeof host->loops_told[0] };
    for (uint32_t i = 0; i < host->loops_told_count; i++) {
        if (host->loops_told[i] == conn->pid) {
            return;
        }
    }
    host->loops_told[host->loops_told_count % TOLD_MAX] = conn->pid;
    host->loops_told_count += host->loops_told_count < TOLD_MAX;
    output_message(
        "%s(%u) serves the upstream %s, and is redirected itself: what it opens goes on directly, else it would "
        "come back for ever; --exclude %u leaves it alone",
        *program ? program : "process", conn->pid, way_near(relay_conn_way(conn))->name, conn->pid);
}

bool relay_loop_closes(const struct relay_conn *conn, const char *program)
{
    struct tcp_rows rows;
    struct serving serving = {.count = 0};
    if (!way_near(relay_conn_way(conn))->local || !conn->pid || !may_close(conn)) {
        return false;
    }
    tcp_rows_read(&rows);
    find_other_ends(conn, &rows, &serving);
    follow(&rows, &serving);
    tcp_rows_free(&rows);
    bool closes = has(&serving, conn->pid);
    if (closes) {
        tell_once(conn->host, conn, program);
    }
    return closes;
}
