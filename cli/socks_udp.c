/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 *   +-----+------+------+----------+----------+------+
 *   | RSV | FRAG | ATYP | DST.ADDR | DST.PORT | DATA |
 *   |  2  |  1   |  1   |  4 / 16  |    2     |      |
 *   +-----+------+------+----------+----------+------+
 *
 * A proxy that names the answerer by a host name (ATYP 3) is not understood: it was never given one.
 */
#include "socks_udp.h"

#include <string.h>

enum { FRAGMENT = 2, TYPE = 3, ADDRESS = 4, IPV4 = 1, IPV6 = 4 };

uint32_t socks_udp_write(uint8_t out[SOCKS_UDP_HEADER_MAX], const redirector_address *destination)
{
    uint32_t size = destination->family == 6 ? 16 : 4;
    memset(out, 0, ADDRESS);
    out[TYPE] = destination->family == 6 ? IPV6 : IPV4;
    memcpy(out + ADDRESS, destination->bytes, size);
    out[ADDRESS + size] = (uint8_t)(destination->port >> 8);
    out[ADDRESS + size + 1] = (uint8_t)destination->port;
    return ADDRESS + size + 2;
}

/* A proxy with one socket for both families may write 10.0.0.2 as ::ffff:10.0.0.2. */
static void unmap(redirector_address *address)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family == 6 && memcmp(address->bytes, prefix, sizeof prefix) == 0) {
        address->family = 4;
        memmove(address->bytes, address->bytes + 12, 4);
        memset(address->bytes + 4, 0, 12);
    }
}

uint32_t socks_udp_read(const uint8_t *data, uint32_t length, redirector_address *from)
{
    uint32_t size = length <= ADDRESS ? 0 : data[TYPE] == IPV4 ? 4 : data[TYPE] == IPV6 ? 16 : 0;
    if (!size || length < ADDRESS + size + 2 || data[FRAGMENT]) {
        return 0;
    }
    *from = (redirector_address){.family = size == 4 ? 4 : 6};
    memcpy(from->bytes, data + ADDRESS, size);
    from->port = (uint32_t)data[ADDRESS + size] << 8 | data[ADDRESS + size + 1];
    unmap(from);
    return ADDRESS + size + 2;
}
