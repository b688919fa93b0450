/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the kernel says which sockets there are and in which state (tcpdiag), the
 * socket events have said who made them; the socket's cookie joins the two. Owners are remembered
 * beyond CLOSE, because a closed connection is in the table until its last FIN, with its owner.
 *
 * What differs between the systems is settled here: a Windows dual-stack listener is in the tables of
 * both families, and IPv4 carried by an IPv6 socket is in that of IPv4. Sockets that are merely bound
 * are in neither, and a connection in TIME_WAIT is nobody's.
 */
#define _GNU_SOURCE
#include "owners.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "owners_protocol.h"
#include "tcpdiag.h"

enum { OWNERS = 262144, SEND_BUFFER = 16 << 20 };

/* Found by cookie modulo OWNERS; cookies are handed out nearly in sequence. */
static struct {
    uint64_t cookie;
    uint32_t pid;
} owners[OWNERS];

struct table {
    bool ipv6; /* wanted */
    bool datagrams;
    struct owners_row *rows;
    uint32_t count, capacity;
    bool failed;
};

static int listener = -1;
static bool known = true;
static uint32_t strangers;

void owners_note(const struct sock_event *event)
{
    uint64_t cookie = event->endpoint;

    if (!event->pid || (event->protocol != IPPROTO_TCP && event->protocol != IPPROTO_UDP)) {
        return;
    }
    owners[cookie % OWNERS].cookie = cookie;
    owners[cookie % OWNERS].pid = event->pid;
}

static uint32_t owner_of(const struct tcpdiag_socket *socket)
{
    if (!known || socket->state == TCP_TIME_WAIT || owners[socket->cookie % OWNERS].cookie != socket->cookie) {
        return 0;
    }
    return owners[socket->cookie % OWNERS].pid;
}

/* MIB_TCP_STATE of a Linux state. */
static uint32_t windows_state(uint8_t state)
{
    static const uint8_t states[] = {
        [TCP_CLOSE] = 1,       [TCP_LISTEN] = 2,    [TCP_SYN_SENT] = 3,   [TCP_SYN_RECV] = 4,
        [TCP_ESTABLISHED] = 5, [TCP_FIN_WAIT1] = 6, [TCP_FIN_WAIT2] = 7,  [TCP_CLOSE_WAIT] = 8,
        [TCP_CLOSING] = 9,     [TCP_LAST_ACK] = 10, [TCP_TIME_WAIT] = 11,
    };

    return state < sizeof(states) ? states[state] : 0;
}

static struct owners_row *table_row(struct table *table)
{
    if (table->count == table->capacity) {
        uint32_t capacity = table->capacity ? 2 * table->capacity : 256;
        struct owners_row *rows = realloc(table->rows, capacity * sizeof(*rows));

        if (!rows) {
            table->failed = true;
            return NULL;
        }
        table->rows = rows;
        table->capacity = capacity;
    }
    return &table->rows[table->count++];
}

static bool address_is_mapped(const uint8_t address[16])
{
    return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
}

static bool address_is_any(const uint8_t address[16])
{
    return IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)address);
}

static void add_socket(void *context, const struct tcpdiag_socket *socket)
{
    struct table *table = context;
    bool mapped = socket->ipv6 && address_is_mapped(socket->local);
    bool open_to_both = table->datagrams || socket->state == TCP_LISTEN;
    bool dual = socket->ipv6 && open_to_both && !socket->v6_only && address_is_any(socket->local);
    struct owners_row *row;

    if (table->datagrams && !socket->local_port) {
        return;
    }
    if (table->ipv6 ? mapped : socket->ipv6 && !mapped && !dual) {
        return;
    }
    row = table_row(table);
    if (!row) {
        return;
    }
    memset(row, 0, sizeof(*row));
    row->state = windows_state(socket->state);
    row->pid = owner_of(socket);
    row->local_port = socket->local_port;
    row->remote_port = socket->remote_port;
    if (table->ipv6 || !mapped) {
        memcpy(row->local, socket->local, sizeof(row->local));
        memcpy(row->remote, socket->remote, sizeof(row->remote));
    } else {
        memcpy(row->local, socket->local + 12, 4);
        memcpy(row->remote, socket->remote + 12, 4);
    }
    if (table->ipv6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)row->local)) {
        row->scope = socket->if_idx;
    }
}

static bool table_fill(struct table *table, uint32_t which)
{
    uint32_t states = 0;
    uint8_t protocol = which & OWNERS_DATAGRAMS ? IPPROTO_UDP : IPPROTO_TCP;

    table->datagrams = protocol == IPPROTO_UDP;
    if (table->datagrams) {
        states = ~0u;
    }
    if (which & OWNERS_LISTENERS) {
        states |= 1u << TCP_LISTEN;
    }
    if (which & OWNERS_CONNECTIONS) {
        states |= ~(1u << TCP_LISTEN | 1u << TCP_CLOSE);
    }
    if (!table->ipv6 && !tcpdiag_list(protocol, false, states, add_socket, table)) {
        return false;
    }
    return tcpdiag_list(protocol, true, states, add_socket, table) && !table->failed;
}

/* Never waits: an asker that does not read gets a part of the answer, and knows by its count. */
static void table_send(const struct table *table, uint32_t which, int fd)
{
    bool all = !table->ipv6 && which & OWNERS_CONNECTIONS;
    struct owners_reply reply = {table->count, all ? strangers : 0};

    if (send(fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        return;
    }
    for (uint32_t at = 0; at < table->count; at += OWNERS_ROWS_PER_MESSAGE) {
        uint32_t rows = table->count - at < OWNERS_ROWS_PER_MESSAGE ? table->count - at : OWNERS_ROWS_PER_MESSAGE;

        if (send(fd, table->rows + at, rows * sizeof(*table->rows), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            return;
        }
    }
}

static void asker_readable(void *context, int fd)
{
    struct owners_request request;
    ssize_t got = recv(fd, &request, sizeof(request), MSG_DONTWAIT);

    (void)context;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got == sizeof(request)) {
        struct table table = {.ipv6 = request.ipv6 != 0};

        events_drain(); /* no socket in the list without its owner */
        if (table_fill(&table, request.which)) {
            table_send(&table, request.which, fd);
        }
        free(table.rows);
    }
    loop_remove(fd);
    close(fd);
}

static void listener_readable(void *context, int fd)
{
    int asker = accept4(fd, NULL, NULL, SOCK_CLOEXEC), size = SEND_BUFFER;

    (void)context;
    if (asker < 0) {
        return;
    }
    setsockopt(asker, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    loop_add(asker, asker_readable, NULL);
}

void owners_open(void)
{
    tcpdiag_open();
    listener =
        loop_listen(OWNERS_SOCKET_NAME, sizeof(OWNERS_SOCKET_NAME) - 1, listener_readable, "answer for socket owners");
}

void owners_close(void)
{
    tcpdiag_close();
    close(listener);
}

void owners_set_known(bool are_known)
{
    known = are_known;
}

void owners_set_strangers(uint32_t count)
{
    strangers = count;
}

uint32_t owners_strangers(void)
{
    return strangers;
}

bool owners_are_known(void)
{
    return known;
}
