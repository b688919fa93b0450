/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The system's TCP table. As in the library, iphlpapi.dll is loaded from the system folder when it is needed, so that
 * the program imports only DLLs that every process has.
 */
#include "tcp_rows.h"

#include "address.h"

#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>
#include <iphlpapi.h>

typedef DWORD WINAPI get_table_fn(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS kind,
                                  ULONG reserved);

enum { ATTEMPTS = 8, FIRST_BYTES = 16384 }; /* the table may have grown between two calls */

static void *read_table(get_table_fn *get_table, ULONG family)
{
    DWORD size = FIRST_BYTES;
    for (int i = 0; i < ATTEMPTS; i++) {
        void *table = malloc(size);
        DWORD error = table ? get_table(table, &size, FALSE, family, TCP_TABLE_OWNER_PID_ALL, 0) : ERROR_OUTOFMEMORY;
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

/* Ports stand in the low 16 bits, in network order. */
static redirector_address address_of(uint32_t family, const void *bytes, DWORD port)
{
    redirector_address a = {.family = family, .port = ntohs((uint16_t)port)};
    memcpy(a.bytes, bytes, family == 6 ? 16 : 4);
    return a;
}

static struct tcp_row row_of(const void *table, uint32_t family, DWORD i)
{
    if (family == 4) {
        const MIB_TCPROW_OWNER_PID *r = &((const MIB_TCPTABLE_OWNER_PID *)table)->table[i];
        return (struct tcp_row){.local = address_of(4, &r->dwLocalAddr, r->dwLocalPort),
                                .remote = address_of(4, &r->dwRemoteAddr, r->dwRemotePort),
                                .pid = r->dwOwningPid,
                                .listens = r->dwState == MIB_TCP_STATE_LISTEN};
    }
    const MIB_TCP6ROW_OWNER_PID *r = &((const MIB_TCP6TABLE_OWNER_PID *)table)->table[i];
    return (struct tcp_row){.local = address_of(6, r->ucLocalAddr, r->dwLocalPort),
                            .remote = address_of(6, r->ucRemoteAddr, r->dwRemotePort),
                            .pid = r->dwOwningPid,
                            .listens = r->dwState == MIB_TCP_STATE_LISTEN};
}

static void append(struct tcp_rows *rows, const void *table, uint32_t family)
{
    DWORD count = table ? *(const DWORD *)table : 0; /* both tables start with it */
    struct tcp_row *more = count ? realloc(rows->rows, (rows->count + count) * sizeof *more) : NULL;
    if (!more) {
        return;
    }
    rows->rows = more;
    for (DWORD i = 0; i < count; i++) {
        rows->rows[rows->count++] = row_of(table, family, i);
    }
}

void tcp_rows_read(struct tcp_rows *rows)
{
    *rows = (struct tcp_rows){0};
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC function = module ? GetProcAddress(module, "GetExtendedTcpTable") : NULL;
    for (uint32_t family = 4; function && family <= 6; family += 2) {
        void *table = read_table((get_table_fn *)(void *)function, family == 4 ? AF_INET : AF_INET6);
        append(rows, table, family);
        free(table);
    }
    if (module) {
        FreeLibrary(module);
    }
}

void tcp_rows_free(struct tcp_rows *rows)
{
    free(rows->rows);
    *rows = (struct tcp_rows){0};
}

bool tcp_rows_listen(const struct tcp_rows *rows, uint32_t port)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->rows[i].listens && rows->rows[i].local.port == port) {
            return true;
        }
    }
    return false;
}

uint32_t tcp_rows_far_end(const struct tcp_rows *rows, const redirector_address *from, const redirector_address *to)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct tcp_row *row = &rows->rows[i];
        if (!row->listens && row->pid && address_equal(&row->local, to) && address_equal(&row->remote, from)) {
            return row->pid;
        }
    }
    return 0;
}
