/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The TCP table with owners, as every Windows program asks for it.
 */
#ifndef LAB_OWNERS_H
#define LAB_OWNERS_H

#include "net.h"

#include <iphlpapi.h>

typedef DWORD WINAPI owners_fn(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class,
                               ULONG reserved);

enum { OWNERS_TABLE_MAX = 1 << 20 };

static owners_fn *owners_get;

/* By absolute path, as careful programs load it. */
static inline HMODULE owners_load(void)
{
    HMODULE module = LoadLibraryExW(L"C:\\windows\\system32\\iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);

    require("iphlpapi.dll", module != NULL);
    owners_get = (owners_fn *)(void (*)(void))GetProcAddress(module, "GetExtendedTcpTable");
    require("GetExtendedTcpTable", owners_get != NULL);
    return module;
}

/* A row of either family. */
struct owners_row {
    struct sockaddr_storage local, remote;
    DWORD state, pid;
};

static inline void owners_endpoint(struct sockaddr_storage *to, int family, const void *address, DWORD port)
{
    memset(to, 0, sizeof *to);
    to->ss_family = (short)family;
    ((struct sockaddr_in *)to)->sin_port = (u_short)port; /* same place in both families */
    if (family == AF_INET) {
        memcpy(&((struct sockaddr_in *)to)->sin_addr, address, 4);
    } else {
        memcpy(&((struct sockaddr_in6 *)to)->sin6_addr, address, 16);
    }
}

/* The rows of a table in memory that stays until the next call; returns how many. */
static inline unsigned owners_rows(int family, TCP_TABLE_CLASS class, const struct owners_row **rows)
{
    static char table[OWNERS_TABLE_MAX] __attribute__((aligned(8)));
    static struct owners_row converted[OWNERS_TABLE_MAX / sizeof(MIB_TCPROW_OWNER_PID)];
    DWORD size = sizeof table, count, error = owners_get(table, &size, FALSE, (ULONG)family, class, 0);

    SetLastError(error);
    require("a TCP table", error == NO_ERROR);
    count = *(DWORD *)table;
    for (DWORD i = 0; i < count; i++) {
        const MIB_TCPROW_OWNER_PID *row4 = &((MIB_TCPTABLE_OWNER_PID *)table)->table[i];
        const MIB_TCP6ROW_OWNER_PID *row6 = &((MIB_TCP6TABLE_OWNER_PID *)table)->table[i];
        struct owners_row *to = &converted[i];

        if (family == AF_INET) {
            owners_endpoint(&to->local, family, &row4->dwLocalAddr, row4->dwLocalPort);
            owners_endpoint(&to->remote, family, &row4->dwRemoteAddr, row4->dwRemotePort);
            to->state = row4->dwState;
            to->pid = row4->dwOwningPid;
        } else {
            owners_endpoint(&to->local, family, row6->ucLocalAddr, row6->dwLocalPort);
            owners_endpoint(&to->remote, family, row6->ucRemoteAddr, row6->dwRemotePort);
            to->state = row6->dwState;
            to->pid = row6->dwOwningPid;
        }
    }
    *rows = converted;
    return count;
}

/* The row with this local end and remote port, by class; NULL if there is none. */
static inline const struct owners_row *owners_find(TCP_TABLE_CLASS class, const char *address, int port,
                                                   int remote_port)
{
    const struct owners_row *rows;
    struct sockaddr_storage local;
    unsigned count;

    net_address(address, (uint16_t)port, &local);
    count = owners_rows(local.ss_family, class, &rows);
    for (unsigned i = 0; i < count; i++) {
        if (!memcmp(&rows[i].local, &local, sizeof local) &&
            ntohs(((struct sockaddr_in *)&rows[i].remote)->sin_port) == remote_port) {
            return &rows[i];
        }
    }
    return NULL;
}

#endif
