/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * An iphlpapi.dll with a fixed TCP table and a fixed UDP table, for systems whose own name no owners. A table needs more
 * room with each of the first few calls, as on a busy machine, and may tell of more rows than it has. test_owner.c knows
 * the rows.
 *
 * And with addresses that change when they are told to (fake_iphlpapi.h); test_addresses.c knows them.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <netioapi.h>

#include "fake_iphlpapi.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GROWTH = 4, RUBBISH = 0x5a5a0000 };

#define LOCALHOST 0x0100007fu
#define LINK_LOCAL 0xfe, 0x80
#define PORT(host_order) (RUBBISH | htons_constant(host_order))
#define htons_constant(p) ((DWORD)(((p) >> 8) | (((p)&0xff) << 8)))

static const MIB_TCPROW_OWNER_PID rows4[] = {
    {MIB_TCP_STATE_LISTEN, LOCALHOST, PORT(80), LOCALHOST, PORT(5000), 100},
    {MIB_TCP_STATE_TIME_WAIT, LOCALHOST, PORT(5000), LOCALHOST, PORT(80), 0},
    {MIB_TCP_STATE_ESTAB, LOCALHOST, PORT(80), LOCALHOST, PORT(5000), 200},
    {MIB_TCP_STATE_SYN_SENT, LOCALHOST, PORT(5000), LOCALHOST, PORT(80), 300},
    {MIB_TCP_STATE_ESTAB, 0x0200000a, PORT(5000), LOCALHOST, PORT(80), 400},
    {MIB_TCP_STATE_LISTEN, 0, PORT(8080), 0, PORT(999), 500},
};

static const MIB_TCP6ROW_OWNER_PID rows6[] = {
    {{[15] = 1}, 7, PORT(5000), {[15] = 1}, 9, PORT(80), MIB_TCP_STATE_SYN_SENT, 600},
    {{LINK_LOCAL, [15] = 1}, 4, PORT(5000), {LINK_LOCAL, [15] = 2}, 4, PORT(80), MIB_TCP_STATE_SYN_SENT, 601},
    {{LINK_LOCAL, [15] = 1}, 5 << 24, PORT(5000), {LINK_LOCAL, [15] = 2}, 5 << 24, PORT(80), MIB_TCP_STATE_ESTAB, 602},
    {{0}, 0, PORT(8081), {0}, 0, PORT(999), MIB_TCP_STATE_LISTEN, 700},
};

static const MIB_UDPROW_OWNER_PID datagrams4[] = {
    {LOCALHOST, PORT(53), 800},
    {0, PORT(53), 801},
    {0x0200000a, PORT(5000), 802},
};

static const MIB_UDP6ROW_OWNER_PID datagrams6[] = {
    {{0}, 0, PORT(53), 900},
    {{LINK_LOCAL, [15] = 1}, 4, PORT(5000), 901},
    {{[15] = 1}, 7, PORT(5000), 902},
};

struct rows {
    const void *all;
    DWORD size, count;
};

static volatile LONG lie; /* so many rows are told of; 0: as many as there are */

__declspec(dllexport) void fake_row_count(LONG told)
{
    lie = told;
}

static DWORD give(const struct rows *rows, void *table, DWORD *size, DWORD *calls)
{
    DWORD needed = 4 + rows->count * rows->size + (*calls < GROWTH ? *calls * 8192 : 0);
    ++*calls;
    if (!table || *size < needed) {
        *size = needed;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    DWORD told = lie ? (DWORD)lie : rows->count;
    memcpy(table, &told, 4);
    memcpy((char *)table + 4, rows->all, rows->count * rows->size);
    return NO_ERROR;
}

#define ROWS(array)                                                                                                    \
    {                                                                                                                  \
        array, sizeof *(array), sizeof(array) / sizeof *(array)                                                        \
    }

__declspec(dllexport) DWORD WINAPI
    GetExtendedTcpTable(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class, ULONG reserved)
{
    static const struct rows rows[] = {ROWS(rows4), ROWS(rows6)};
    static DWORD calls;
    (void)order, (void)class, (void)reserved;
    return give(&rows[family == AF_INET6], table, size, &calls);
}

__declspec(dllexport) DWORD WINAPI
    GetExtendedUdpTable(void *table, DWORD *size, BOOL order, ULONG family, UDP_TABLE_CLASS class, ULONG reserved)
{
    static const struct rows rows[] = {ROWS(datagrams4), ROWS(datagrams6)};
    static DWORD calls;
    (void)order, (void)reserved;
    return class == UDP_TABLE_OWNER_PID ? give(&rows[family == AF_INET6], table, size, &calls) : ERROR_NOT_SUPPORTED;
}

/* ---- addresses */

static struct {
    volatile LONG rows, fails, deaf;
    HANDLE volatile hold; /* set: the table is told only once it is */
    PUNICAST_IPADDRESS_CHANGE_CALLBACK callback;
    void *context;
} addresses = {.rows = 2};

__declspec(dllexport) void fake_addresses(const struct fake_addresses *now)
{
    addresses.fails = now->fails;
    addresses.deaf = now->deaf;
    addresses.hold = now->hold;
    addresses.rows = now->rows;
    if (now->tell && addresses.callback) {
        addresses.callback(addresses.context, NULL, MibAddInstance);
    }
}

__declspec(dllexport) NETIO_STATUS WINAPI
    GetUnicastIpAddressTable(ADDRESS_FAMILY family, MIB_UNICASTIPADDRESS_TABLE **out)
{
    static const uint8_t link_local[16] = {LINK_LOCAL, [15] = 1};
    ULONG count = (ULONG)addresses.rows;
    HANDLE hold = addresses.hold;
    if (hold) {
        WaitForSingleObject(hold, INFINITE);
    }
    if (family != AF_UNSPEC || addresses.fails) {
        return ERROR_NOT_SUPPORTED;
    }
    MIB_UNICASTIPADDRESS_TABLE *table = calloc(1, sizeof *table + count * sizeof table->Table[0]);
    table->NumEntries = count;
    for (ULONG i = 0; i < count; i++) { /* 10.0.0.1 at 7, fe80::1 at 8, 10.0.0.3 at 9, fe80::1 at 10 ... */
        MIB_UNICASTIPADDRESS_ROW *row = &table->Table[i];
        row->InterfaceIndex = 7 + i;
        row->Address.si_family = i % 2 ? AF_INET6 : AF_INET;
        if (i % 2) {
            memcpy(&row->Address.Ipv6.sin6_addr, link_local, sizeof link_local);
        } else {
            row->Address.Ipv4.sin_addr.s_addr = __builtin_bswap32(0x0a000001 + i);
        }
    }
    *out = table;
    return NO_ERROR;
}

__declspec(dllexport) VOID WINAPI FreeMibTable(void *table)
{
    free(table);
}

__declspec(dllexport) NETIO_STATUS WINAPI
    NotifyUnicastIpAddressChange(ADDRESS_FAMILY family, PUNICAST_IPADDRESS_CHANGE_CALLBACK callback, void *context,
                                 BOOLEAN initial, HANDLE *handle)
{
    (void)family, (void)initial;
    if (addresses.deaf) {
        return ERROR_NOT_SUPPORTED;
    }
    addresses.context = context;
    addresses.callback = callback;
    *handle = &addresses;
    return NO_ERROR;
}

__declspec(dllexport) NETIO_STATUS WINAPI CancelMibChangeNotify2(HANDLE handle)
{
    addresses.callback = NULL;
    return handle == &addresses ? NO_ERROR : ERROR_INVALID_PARAMETER;
}
