/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>

#include "windows/ip_table.h"
#include "windows/udptable.h"

#include <stddef.h>
#include <stdlib.h>

struct udptable {
    struct ip_table ip;
    int family; /* in ip_table_families */
    uint32_t row;
};

struct udptable *udptable_open(void)
{
    struct udptable *t = calloc(1, sizeof *t);
    if (t && ip_table_open(&t->ip, "GetExtendedUdpTable")) {
        return t;
    }
    udptable_close(t);
    return NULL;
}

void udptable_close(struct udptable *t)
{
    if (t) {
        ip_table_close(&t->ip);
        free(t);
    }
}

bool udptable_read(struct udptable *t)
{
    t->family = 0;
    t->row = 0;
    return ip_table_take(&t->ip, UDP_TABLE_OWNER_PID);
}

static uint32_t row_count(const struct udptable *t)
{
    if (ip_table_families[t->family] == FAMILY_IP4) {
        return ip_table_rows(&t->ip, t->family, offsetof(MIB_UDPTABLE_OWNER_PID, table), sizeof(MIB_UDPROW_OWNER_PID));
    }
    return ip_table_rows(&t->ip, t->family, offsetof(MIB_UDP6TABLE_OWNER_PID, table), sizeof(MIB_UDP6ROW_OWNER_PID));
}

static void row_at(const void *table, uint32_t family, uint32_t i, struct tuple *local, uint32_t *pid)
{
    *local = (struct tuple){.family = family, .dst = ip_addr_any(family)};
    if (family == FAMILY_IP4) {
        const MIB_UDPROW_OWNER_PID *row = &((const MIB_UDPTABLE_OWNER_PID *)table)->table[i];
        local->src = ip_addr_from_ip4((const uint8_t *)&row->dwLocalAddr);
        local->src_port = ip_table_port(row->dwLocalPort);
        *pid = row->dwOwningPid;
        return;
    }
    const MIB_UDP6ROW_OWNER_PID *row = &((const MIB_UDP6TABLE_OWNER_PID *)table)->table[i];
    local->src = ip_addr_from_ip6(row->ucLocalAddr);
    local->src_port = ip_table_port(row->dwLocalPort);
    local->scope = ip_addr_is_link_local(&local->src) ? ip_table_scope(row->dwLocalScopeId) : 0;
    *pid = row->dwOwningPid;
}

bool udptable_next(struct udptable *t, struct tuple *local, uint32_t *pid)
{
    while (t->family < IP_TABLE_FAMILIES && t->row >= row_count(t)) {
        t->family++;
        t->row = 0;
    }
    if (t->family == IP_TABLE_FAMILIES) {
        return false;
    }
    row_at(t->ip.snapshots[t->family].table, ip_table_families[t->family], t->row++, local, pid);
    return true;
}
