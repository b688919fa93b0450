/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The proxies' own connections are none of ours: the library finds them by their ports. */
#include "own_proxies.h"

#include "output.h"
#include "tcp_rows.h"
#include "udp_owner.h"

/* The port on which nothing listens; 0: all is well. */
static uint32_t silent_port(const struct options *o)
{
    const uint32_t ports[] = {o->proxy_port, o->incoming_proxy};
    struct tcp_rows rows;
    uint32_t missing = 0;
    tcp_rows_read(&rows);
    for (int i = 0; i < 2 && !missing; i++) {
        missing = ports[i] && !tcp_rows_listen(&rows, ports[i]) ? ports[i] : 0;
    }
    tcp_rows_free(&rows);
    return missing;
}

/* In either family, on loopback or on all addresses. */
static bool receives(uint32_t port)
{
    const struct udp_source at[] = {{.address = {127, 0, 0, 1}, .family = 4, .port = (uint16_t)port},
                                    {.address = {[15] = 1}, .family = 6, .port = (uint16_t)port}};
    uint32_t pids[UDP_OWNERS_MAX];
    struct udp_owner *table = udp_owner_open();
    bool found = !table || udp_owner_find(table, &at[0], pids) || udp_owner_find(table, &at[1], pids);
    udp_owner_close(table);
    return found;
}

bool own_proxies_found(const struct options *o)
{
    uint32_t missing = silent_port(o);
    if (missing) {
        output_message("nothing listens on port %u; start your proxy first", missing);
        return false;
    }
    if (o->udp_proxy_port && !receives(o->udp_proxy_port)) {
        output_message("nothing receives on UDP port %u; start your proxy first", o->udp_proxy_port);
        return false;
    }
    return true;
}
