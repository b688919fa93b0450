/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The lab's iphlpapi.dll: GetExtendedTcpTable and GetExtendedUdpTable with the owners of sockets, for every program of
 * the lab.
 *
 * Theory of operation: under Wine 8 these functions give 0 for every owner, because wineserver makes
 * all sockets. This DLL stands in its place in the prefix and answers the classes that name owners (of
 * UDP: UDP_TABLE_OWNER_PID) from what the daemon knows (daemon/owners.c); one connection and one question a call, by raw
 * Linux system calls. Everything else it exports is forwarded to a copy of Wine's own, which lies
 * beside it as wine_iphlpapi.dll (the list is made from that file when the lab is built).
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../windows/runtime/linux.h"
#include "owners_protocol.h"

/* Wine's, by the name under which it is imported here. */
DWORD WINAPI wine_GetExtendedTcpTable(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class,
                                      ULONG reserved);
DWORD WINAPI wine_GetExtendedUdpTable(void *table, DWORD *size, BOOL order, ULONG family, UDP_TABLE_CLASS class,
                                      ULONG reserved);

struct answer {
    struct owners_row *rows;
    uint32_t count;
};

static bool daemon_read_rows(int fd, struct answer *answer)
{
    uint32_t have = 0;

    while (have < answer->count) {
        int64_t got = linux_read(fd, answer->rows + have, (answer->count - have) * sizeof(*answer->rows));

        if (got <= 0 || got % sizeof(*answer->rows)) {
            return false;
        }
        have += (uint32_t)(got / sizeof(*answer->rows));
    }
    return true;
}

/* Connections that nobody has; made here, so that the daemon, which is also the driver, has no work with them. */
static void add_strangers(struct answer *answer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        answer->rows[answer->count++] = (struct owners_row){
            .state = MIB_TCP_STATE_ESTAB,
            .pid = 4,
            .local = {10, 99, (uint8_t)(i >> 24), (uint8_t)(i >> 16)},
            .remote = {203, 0, 113, 1},
            .local_port = (uint16_t)i,
            .remote_port = 443,
        };
    }
}

static DWORD daemon_ask(const struct owners_request *request, struct answer *answer)
{
    int fd = linux_connect(OWNERS_SOCKET_NAME, sizeof(OWNERS_SOCKET_NAME) - 1);
    DWORD error = ERROR_GEN_FAILURE;
    struct owners_reply reply;

    answer->rows = NULL;
    if (fd < 0) {
        return error;
    }
    if (linux_write(fd, request, sizeof(*request)) != sizeof(*request) ||
        linux_read(fd, &reply, sizeof(reply)) != sizeof(reply)) {
        goto out;
    }
    answer->count = reply.count;
    answer->rows = malloc(((size_t)reply.count + reply.more + 1) * sizeof(*answer->rows));
    if (!answer->rows) {
        error = ERROR_NOT_ENOUGH_MEMORY;
    } else if (daemon_read_rows(fd, answer)) {
        add_strangers(answer, reply.more);
        error = NO_ERROR;
    }
out:
    linux_close(fd);
    return error;
}

/* Windows orders by local address and port, then remote. */
static int compare_rows(const void *left, const void *right)
{
    const struct owners_row *a = left, *b = right;
    int result = memcmp(a->local, b->local, sizeof(a->local));

    if (!result) {
        result = __builtin_bswap16(a->local_port) - __builtin_bswap16(b->local_port);
    }
    if (!result) {
        result = memcmp(a->remote, b->remote, sizeof(a->remote));
    }
    return result ? result : __builtin_bswap16(a->remote_port) - __builtin_bswap16(b->remote_port);
}

static void write_table4(MIB_TCPTABLE_OWNER_PID *table, const struct answer *answer)
{
    table->dwNumEntries = answer->count;
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct owners_row *from = &answer->rows[i];
        MIB_TCPROW_OWNER_PID *to = &table->table[i];

        to->dwState = from->state;
        memcpy(&to->dwLocalAddr, from->local, sizeof(to->dwLocalAddr));
        to->dwLocalPort = from->local_port;
        memcpy(&to->dwRemoteAddr, from->remote, sizeof(to->dwRemoteAddr));
        to->dwRemotePort = from->remote_port;
        to->dwOwningPid = from->pid;
    }
}

static void write_table6(MIB_TCP6TABLE_OWNER_PID *table, const struct answer *answer)
{
    table->dwNumEntries = answer->count;
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct owners_row *from = &answer->rows[i];
        MIB_TCP6ROW_OWNER_PID *to = &table->table[i];

        memcpy(to->ucLocalAddr, from->local, sizeof(to->ucLocalAddr));
        to->dwLocalScopeId = from->scope;
        to->dwLocalPort = from->local_port;
        memcpy(to->ucRemoteAddr, from->remote, sizeof(to->ucRemoteAddr));
        to->dwRemoteScopeId = from->scope;
        to->dwRemotePort = from->remote_port;
        to->dwState = from->state;
        to->dwOwningPid = from->pid;
    }
}

static void write_udp_table4(MIB_UDPTABLE_OWNER_PID *table, const struct answer *answer)
{
    table->dwNumEntries = answer->count;
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct owners_row *from = &answer->rows[i];
        MIB_UDPROW_OWNER_PID *to = &table->table[i];

        memcpy(&to->dwLocalAddr, from->local, sizeof(to->dwLocalAddr));
        to->dwLocalPort = from->local_port;
        to->dwOwningPid = from->pid;
    }
}

static void write_udp_table6(MIB_UDP6TABLE_OWNER_PID *table, const struct answer *answer)
{
    table->dwNumEntries = answer->count;
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct owners_row *from = &answer->rows[i];
        MIB_UDP6ROW_OWNER_PID *to = &table->table[i];

        memcpy(to->ucLocalAddr, from->local, sizeof(to->ucLocalAddr));
        to->dwLocalScopeId = from->scope;
        to->dwLocalPort = from->local_port;
        to->dwOwningPid = from->pid;
    }
}

static void write_table(void *table, const struct owners_request *request, const struct answer *answer)
{
    if (request->which & OWNERS_DATAGRAMS && request->ipv6) {
        write_udp_table6(table, answer);
    } else if (request->which & OWNERS_DATAGRAMS) {
        write_udp_table4(table, answer);
    } else if (request->ipv6) {
        write_table6(table, answer);
    } else {
        write_table4(table, answer);
    }
}

/* Room for one row at least, as the types have it. */
static DWORD table_size(const struct owners_request *request, uint32_t count)
{
    bool ipv6 = request->ipv6;

    if (!count) {
        count = 1;
    }
    if (request->which & OWNERS_DATAGRAMS) {
        return ipv6 ? offsetof(MIB_UDP6TABLE_OWNER_PID, table) + count * sizeof(MIB_UDP6ROW_OWNER_PID)
                    : offsetof(MIB_UDPTABLE_OWNER_PID, table) + count * sizeof(MIB_UDPROW_OWNER_PID);
    }
    return ipv6 ? offsetof(MIB_TCP6TABLE_OWNER_PID, table) + count * sizeof(MIB_TCP6ROW_OWNER_PID)
                : offsetof(MIB_TCPTABLE_OWNER_PID, table) + count * sizeof(MIB_TCPROW_OWNER_PID);
}

static DWORD owner_table(void *table, DWORD *size, BOOL order, bool ipv6, uint32_t which)
{
    struct owners_request request = {.ipv6 = ipv6, .which = which};
    struct answer answer;
    DWORD error = daemon_ask(&request, &answer), room = *size;

    if (error) {
        goto out;
    }
    *size = table_size(&request, answer.count);
    if (!table || room < *size) {
        error = ERROR_INSUFFICIENT_BUFFER;
        goto out;
    }
    if (order) {
        qsort(answer.rows, answer.count, sizeof(*answer.rows), compare_rows);
    }
    write_table(table, &request, &answer);
out:
    free(answer.rows);
    return error;
}

DWORD WINAPI GetExtendedTcpTable(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class,
                                 ULONG reserved)
{
    static const uint32_t which[] = {
        [TCP_TABLE_OWNER_PID_LISTENER] = OWNERS_LISTENERS,
        [TCP_TABLE_OWNER_PID_CONNECTIONS] = OWNERS_CONNECTIONS,
        [TCP_TABLE_OWNER_PID_ALL] = OWNERS_LISTENERS | OWNERS_CONNECTIONS,
    };

    if (!size || (family != AF_INET && family != AF_INET6)) {
        return ERROR_INVALID_PARAMETER;
    }
    if ((unsigned)class >= sizeof(which) / sizeof(which[0]) || !which[class]) {
        return wine_GetExtendedTcpTable(table, size, order, family, class, reserved);
    }
    return owner_table(table, size, order, family == AF_INET6, which[class]);
}

DWORD WINAPI GetExtendedUdpTable(void *table, DWORD *size, BOOL order, ULONG family, UDP_TABLE_CLASS class,
                                 ULONG reserved)
{
    if (!size || (family != AF_INET && family != AF_INET6)) {
        return ERROR_INVALID_PARAMETER;
    }
    if (class != UDP_TABLE_OWNER_PID) {
        return wine_GetExtendedUdpTable(table, size, order, family, class, reserved);
    }
    return owner_table(table, size, order, family == AF_INET6, OWNERS_DATAGRAMS);
}
