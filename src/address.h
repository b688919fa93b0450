/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file address.h  Converts the engine's addresses to those of the public header and back. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "engine/types.h"
#include "windows_redirector.h"

/** `scope` is that of the connection: an address that is not link-local has none. */
static inline redirector_address address_to_public(const ip_addr *address, uint32_t family, uint16_t port,
                                                   uint32_t scope)
{
    redirector_address out = {.family = family, .port = port};
    if (family == FAMILY_IP4) {
        memcpy(out.bytes, address->bytes + 12, 4);
    } else {
        memcpy(out.bytes, address->bytes, 16);
        out.scope = ip_addr_is_link_local(address) ? scope : 0;
    }
    return out;
}

/** false: NULL, or not an address. `out` becomes a tuple whose src is that address. */
static inline bool address_from_public(const redirector_address *a, struct tuple *out)
{
    if (!a || (a->family != FAMILY_IP4 && a->family != FAMILY_IP6) || a->port == 0 || a->port > PORT_MAX) {
        return false;
    }
    *out = (struct tuple){.family = a->family, .src_port = be16_from_host((uint16_t)a->port)};
    out->src = a->family == FAMILY_IP4 ? ip_addr_from_ip4(a->bytes) : ip_addr_from_ip6(a->bytes);
    return true;
}

#endif
