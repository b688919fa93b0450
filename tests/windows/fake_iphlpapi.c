/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * An iphlpapi.dll with a fixed TCP table, for systems whose own names no owners. The table grows by a row with each
 * of the first few calls, as on a busy machine. test_owner.c knows the rows.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include <string.h>

enum { GROWTH = 4, RUBBISH = 0x5a5a0000 };

#define LOCALHOST 0x0100007fu
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
    {{0}, 0, PORT(8081), {0}, 0, PORT(999), MIB_TCP_STATE_LISTEN, 700},
};

__declspec(dllexport) DWORD WINAPI
    GetExtendedTcpTable(void *table, DWORD *size, BOOL order, ULONG family, TCP_TABLE_CLASS class, ULONG reserved)
{
    static DWORD calls;
    const void *rows = family == AF_INET ? (const void *)rows4 : rows6;
    DWORD row_size = family == AF_INET ? sizeof *rows4 : sizeof *rows6;
    DWORD count = family == AF_INET ? sizeof rows4 / sizeof *rows4 : sizeof rows6 / sizeof *rows6;
    DWORD needed = 4 + count * row_size + (calls < GROWTH ? calls * 8192 : 0);
    (void)order, (void)class, (void)reserved;
    calls++;
    if (!table || *size < needed) {
        *size = needed;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    memcpy(table, &count, 4);
    memcpy((char *)table + 4, rows, count * row_size);
    return NO_ERROR;
}
