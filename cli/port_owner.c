/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Owners of ports, from the system's UDP tables. As in the library, iphlpapi.dll is loaded from the system
 * folder when it is needed, so that the program imports only DLLs that every process has.
 */
#include "port_owner.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>
#include <iphlpapi.h>

/* GetExtendedTcpTable and GetExtendedUdpTable, which differ in the type of `kind` alone. */
typedef DWORD WINAPI get_table_fn(void *table, DWORD *size, BOOL order, ULONG family, int kind, ULONG reserved);

enum { ATTEMPTS = 8 }; /* the table may have grown between two calls */

/* Each of the four tables is a count and rows; what differs is where a row has its port and its owner. */
static const struct shape {
    ULONG family;
    size_t row, port, owner;
} shapes[][2] = {
    [PORT_TCP_LISTENER] = {{AF_INET, sizeof(MIB_TCPROW_OWNER_PID), offsetof(MIB_TCPROW_OWNER_PID, dwLocalPort),
                            offsetof(MIB_TCPROW_OWNER_PID, dwOwningPid)},
                           {AF_INET6, sizeof(MIB_TCP6ROW_OWNER_PID), offsetof(MIB_TCP6ROW_OWNER_PID, dwLocalPort),
                            offsetof(MIB_TCP6ROW_OWNER_PID, dwOwningPid)}},
    [PORT_UDP] = {{AF_INET, sizeof(MIB_UDPROW_OWNER_PID), offsetof(MIB_UDPROW_OWNER_PID, dwLocalPort),
                   offsetof(MIB_UDPROW_OWNER_PID, dwOwningPid)},
                  {AF_INET6, sizeof(MIB_UDP6ROW_OWNER_PID), offsetof(MIB_UDP6ROW_OWNER_PID, dwLocalPort),
                   offsetof(MIB_UDP6ROW_OWNER_PID, dwOwningPid)}},
};

static void *read_table(get_table_fn *get_table, ULONG family, int kind)
{
    DWORD size = 16384;
    for (int i = 0; i < ATTEMPTS; i++) {
        void *table = malloc(size);
        DWORD error = table ? get_table(table, &size, FALSE, family, kind, 0) : ERROR_OUTOFMEMORY;
        if (error == NO_ERROR) {
            return table;
        }
        free(table);
        if (error != ERROR_INSUFFICIENT_BUFFER) {
            break;
        }
    }
    return NULL;
}

static DWORD number_at(const uint8_t *at)
{
    DWORD number;
    memcpy(&number, at, sizeof number);
    return number;
}

static uint32_t find(const uint8_t *table, const struct shape *shape, uint32_t port)
{
    DWORD count = table ? number_at(table) : 0;
    for (DWORD i = 0; i < count; i++) {
        const uint8_t *row = table + sizeof(DWORD) + i * shape->row; /* rows are of DWORDs: nothing lies between */
        if (ntohs((uint16_t)number_at(row + shape->port)) == port) {
            return number_at(row + shape->owner);
        }
    }
    return PORT_NOBODY;
}

uint32_t port_owner(enum port_kind kind, uint32_t port)
{
    uint32_t owner = PORT_NOBODY;
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC function =
        module ? GetProcAddress(module, kind == PORT_UDP ? "GetExtendedUdpTable" : "GetExtendedTcpTable") : NULL;
    for (int i = 0; function && i < 2 && !owner; i++) {
        const struct shape *shape = &shapes[kind][i];
        void *table = read_table((get_table_fn *)(void *)function, shape->family,
                                 kind == PORT_UDP ? (int)UDP_TABLE_OWNER_PID : (int)TCP_TABLE_OWNER_PID_LISTENER);
        owner = find(table, shape, port);
        free(table);
    }
    if (module) {
        FreeLibrary(module);
    }
    return owner;
}
