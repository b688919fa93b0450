/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file address.h  Converts the engine's addresses to those of the public header. */
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

#endif
