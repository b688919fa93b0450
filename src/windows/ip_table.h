/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file ip_table.h
 * Snapshots of Windows' tables of sockets, one in each family: what reading the TCP and the UDP table have in common.
 *
 * Theory of operation: iphlpapi.dll is resolved at run time, so that programs which link the static archive need no
 * import library for it. A table can grow between asking for its size and taking it; then it is taken again with a
 * larger buffer. It begins with the number of its rows, which is believed only as far as the buffer goes.
 */
#ifndef WINDOWS_IP_TABLE_H
#define WINDOWS_IP_TABLE_H

#include "engine/types.h"

#include <windows.h>

/** GetExtendedTcpTable and GetExtendedUdpTable; their enumerations of classes are numbers here. */
typedef DWORD WINAPI ip_table_fn(void *table, DWORD *size, BOOL order, ULONG family, int class, ULONG reserved);

enum { IP_TABLE_FAMILIES = 2 };
static const uint32_t ip_table_families[] = {FAMILY_IP4, FAMILY_IP6}; /* IPv4 first: the twins of dual-stack sockets */

struct ip_table {
    HMODULE module;
    ip_table_fn *get;
    struct ip_snapshot {
        void *table; /* NULL: none yet */
        DWORD size;
        bool taken; /* false: it could not be */
    } snapshots[IP_TABLE_FAMILIES];
};

/** false: there is no such function; ip_table_close() is needed all the same. */
bool ip_table_open(struct ip_table *t, const char *function);
void ip_table_close(struct ip_table *t);

/** Takes a snapshot of both families. false: that of a family could not be had, and is empty. */
bool ip_table_take(struct ip_table *t, int class);

/** How many rows of this size the snapshot has, `header` bytes after its beginning. */
uint32_t ip_table_rows(const struct ip_table *t, int family, size_t header, size_t row_size);

/** Ports stand in the low 16 bits in network order; the high bits mean nothing. */
static inline be16 ip_table_port(DWORD field)
{
    return (be16){(uint16_t)field};
}

/**
 * The documentation says "network byte order", but programs take these fields as they stand. An interface's index has 24
 * bits (NET_LUID), so a greater number is one whose bytes are the other way round.
 */
static inline uint32_t ip_table_scope(DWORD field)
{
    return field >> 24 ? __builtin_bswap32(field) : field;
}

#endif
