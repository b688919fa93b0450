/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <winsock2.h>

#include "windows/ip_table.h"
#include "windows/text.h"

#include <stdlib.h>

enum { ATTEMPTS = 8, EXTRA_BYTES = 4096, BYTES_MAX = 64 << 20 }; /* more than a million sockets */

bool ip_table_open(struct ip_table *t, const char *function)
{
    wchar_t *path = path_system_file(L"iphlpapi.dll");
    if (path) {
        t->module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    }
    free(path);
    if (t->module) {
        t->get = (ip_table_fn *)(void (*)(void))GetProcAddress(t->module, function);
    }
    return t->get;
}

void ip_table_close(struct ip_table *t)
{
    if (t->module) {
        FreeLibrary(t->module);
    }
    for (int f = 0; f < IP_TABLE_FAMILIES; f++) {
        free(t->snapshots[f].table);
    }
}

static bool take_snapshot(const struct ip_table *t, struct ip_snapshot *s, uint32_t family, int class)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        DWORD size = s->size;
        DWORD status = t->get(s->table, &size, FALSE, family == FAMILY_IP4 ? AF_INET : AF_INET6, class, 0);
        if (status == NO_ERROR && s->table) {
            return true;
        }
        if (status != ERROR_INSUFFICIENT_BUFFER) {
            return false;
        }
        DWORD roomy = size + size / 8 + EXTRA_BYTES;
        void *larger = size <= BYTES_MAX ? realloc(s->table, roomy) : NULL;
        if (!larger) {
            return false;
        }
        s->table = larger;
        s->size = roomy;
    }
    return false;
}

bool ip_table_take(struct ip_table *t, int class)
{
    bool whole = true;
    for (int f = 0; f < IP_TABLE_FAMILIES; f++) {
        t->snapshots[f].taken = take_snapshot(t, &t->snapshots[f], ip_table_families[f], class);
        whole = whole && t->snapshots[f].taken;
    }
    return whole;
}

uint32_t ip_table_rows(const struct ip_table *t, int family, size_t header, size_t row_size)
{
    const struct ip_snapshot *s = &t->snapshots[family];
    if (!s->taken || s->size < header) {
        return 0;
    }
    size_t room = (s->size - header) / row_size;
    DWORD said = *(const DWORD *)s->table;
    return said < room ? said : (uint32_t)room;
}
