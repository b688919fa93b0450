/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What an agent can tell about the library from outside.
 *
 *   memory                 what is allocated on the heaps: the process's private bytes as Windows counts them are 0 under Wine
 *   mappings               peers, of all ports and both families, for which a lookup finds something
 */
#include "proxy.h"

#include <string.h>

enum { PORTS = 65536, PEERS_SHOWN = 20, HEAPS = 64 };

void command_memory(const struct command *c, struct json *answer)
{
    HANDLE heaps[HEAPS];
    DWORD count = GetProcessHeaps(HEAPS, heaps);
    long long bytes = 0, blocks = 0;
    (void)c;
    for (DWORD i = 0; i < count && i < HEAPS; i++) {
        PROCESS_HEAP_ENTRY entry = {0};
        HeapLock(heaps[i]);
        while (HeapWalk(heaps[i], &entry)) {
            if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) {
                bytes += entry.cbData;
                blocks++;
            }
        }
        HeapUnlock(heaps[i]);
    }
    json_number(answer, "bytes", bytes);
    json_number(answer, "blocks", blocks);
}

/* The unspecified address: found by family and port alone. */
static struct sockaddr_storage any_peer(int family, unsigned port)
{
    struct sockaddr_storage peer = {.ss_family = (u_short)family};
    ((struct sockaddr_in *)&peer)->sin_port = htons((u_short)port); /* the same place in both families */
    return peer;
}

void command_mappings(const struct command *c, struct json *answer)
{
    static const int families[2] = {AF_INET, AF_INET6};
    char text[ADDRESS_TEXT_MAX];
    long count = 0;
    (void)c;
    json_open(answer, "peers", '[');
    for (int i = 0; i < 2; i++) {
        for (unsigned port = 1; port < PORTS; port++) {
            struct sockaddr_storage peer = any_peer(families[i], port);
            if (redirect_lookup(&peer, 0).status == 0 && ++count <= PEERS_SHOWN) {
                json_string(answer, NULL, address_text(&peer, text));
            }
        }
    }
    json_close(answer, ']');
    json_number(answer, "count", count);
}
