/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * As in the library, iphlpapi.dll is loaded from the system folder when it is needed, so that the program imports only
 * DLLs that every process has.
 */
#include "udp_owner.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>
#include <iphlpapi.h>

enum { ATTEMPTS = 8, EXTRA_BYTES = 4096 }; /* the table may have grown between two calls */

typedef DWORD WINAPI get_table_fn(void *table, DWORD *size, BOOL order, ULONG family, UDP_TABLE_CLASS kind,
                                  ULONG reserved);

struct udp_owner {
    HMODULE module;
    get_table_fn *get_table;
    uint8_t *table;
    DWORD size;
};

/* Both tables are a count and rows of DWORDs; what differs is where a row has what. */
static const struct shape {
    ULONG family;
    size_t row, address, address_size, port, owner;
} shape4 = {AF_INET,
            sizeof(MIB_UDPROW_OWNER_PID),
            offsetof(MIB_UDPROW_OWNER_PID, dwLocalAddr),
            4,
            offsetof(MIB_UDPROW_OWNER_PID, dwLocalPort),
            offsetof(MIB_UDPROW_OWNER_PID, dwOwningPid)},
  shape6 = {AF_INET6,
            sizeof(MIB_UDP6ROW_OWNER_PID),
            offsetof(MIB_UDP6ROW_OWNER_PID, ucLocalAddr),
            16,
            offsetof(MIB_UDP6ROW_OWNER_PID, dwLocalPort),
            offsetof(MIB_UDP6ROW_OWNER_PID, dwOwningPid)};

struct udp_owner *udp_owner_open(void)
{
    struct udp_owner *t = calloc(1, sizeof *t);
    if (!t) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    t->module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (t->module) {
        t->get_table = (get_table_fn *)(void (*)(void))GetProcAddress(t->module, "GetExtendedUdpTable");
    }
    if (!t->get_table) {
        DWORD error = GetLastError();
        udp_owner_close(t);
        SetLastError(error);
        return NULL;
    }
    return t;
}

void udp_owner_close(struct udp_owner *t)
{
    if (!t) {
        return;
    }
    if (t->module) {
        FreeLibrary(t->module);
    }
    free(t->table);
    free(t);
}

static bool read_table(struct udp_owner *t, ULONG family)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        DWORD size = t->size;
        DWORD error = t->get_table(t->table, &size, FALSE, family, UDP_TABLE_OWNER_PID, 0);
        if (error == NO_ERROR && t->table) {
            return true;
        }
        if (error != ERROR_INSUFFICIENT_BUFFER) {
            return false;
        }
        uint8_t *larger = realloc(t->table, size + EXTRA_BYTES);
        if (!larger) {
            return false;
        }
        t->table = larger;
        t->size = size + EXTRA_BYTES;
    }
    return false;
}

static DWORD number_at(const uint8_t *at)
{
    DWORD number;
    memcpy(&number, at, sizeof number);
    return number;
}

/* The owners in one table; `wanted`: an address, or NULL for sockets on any address alone. */
static uint32_t find_in(struct udp_owner *t, const struct shape *shape, const uint8_t *wanted, uint16_t port,
                        uint32_t pids[UDP_OWNERS_MAX])
{
    static const uint8_t any[16];
    uint32_t found = 0;
    DWORD rows = read_table(t, shape->family) ? number_at(t->table) : 0;
    for (DWORD i = 0; i < rows && found < UDP_OWNERS_MAX; i++) {
        const uint8_t *row = t->table + sizeof(DWORD) + i * shape->row;
        const uint8_t *address = row + shape->address;
        if (ntohs((uint16_t)number_at(row + shape->port)) != port ||
            (memcmp(address, any, shape->address_size) != 0 &&
             (!wanted || memcmp(address, wanted, shape->address_size) != 0))) {
            continue;
        }
        uint32_t pid = number_at(row + shape->owner), k = 0;
        while (k < found && pids[k] != pid) {
            k++;
        }
        pids[k] = pid;
        found += k == found;
    }
    return found;
}

uint32_t udp_owner_find(struct udp_owner *t, const struct udp_source *source, uint32_t pids[UDP_OWNERS_MAX])
{
    if (source->family == 6) {
        return find_in(t, &shape6, source->address, source->port, pids);
    }
    uint32_t found = find_in(t, &shape4, source->address, source->port, pids);
    return found ? found : find_in(t, &shape6, NULL, source->port, pids);
}
