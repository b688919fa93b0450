/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Conversion of addresses between the library, Winsock and text; the rest of the program does not depend on it. */
#include "address.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void address_ip_text(char out[ADDRESS_TEXT_MAX], const redirector_address *address)
{
    if (!inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, out, ADDRESS_TEXT_MAX)) {
        snprintf(out, ADDRESS_TEXT_MAX, "?");
    }
    if (address->family == 6 && address->scope) {
        size_t used = strlen(out);
        snprintf(out + used, ADDRESS_TEXT_MAX - used, "%%%" PRIu32, address->scope);
    }
}

void address_text(char out[ADDRESS_TEXT_MAX], const redirector_address *address)
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(ip, address);
    snprintf(out, ADDRESS_TEXT_MAX, address->family == 6 ? "[%.60s]:%" PRIu32 : "%.60s:%" PRIu32, ip, address->port);
}

int address_to_sockaddr(const redirector_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (address->family == 6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)address->port);
        memcpy(&v6->sin6_addr, address->bytes, 16);
        v6->sin6_scope_id = address->scope;
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)address->port);
    memcpy(&v4->sin_addr, address->bytes, 4);
    return sizeof *v4;
}

redirector_address address_from_sockaddr(const struct sockaddr_storage *from)
{
    redirector_address address = {.family = from->ss_family == AF_INET6 ? 6 : 4};
    if (address.family == 6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        address.port = ntohs(v6->sin6_port);
        memcpy(address.bytes, &v6->sin6_addr, 16);
        address.scope = v6->sin6_scope_id;
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        address.port = ntohs(v4->sin_port);
        memcpy(address.bytes, &v4->sin_addr, 4);
    }
    return address;
}

redirector_address address_without_scope(const redirector_address *address)
{
    redirector_address out = *address;
    out.scope = 0;
    return out;
}

bool address_is_loopback(const redirector_address *address)
{
    static const uint8_t v6[16] = {[15] = 1};
    return address->family == 6 ? memcmp(address->bytes, v6, sizeof v6) == 0 : address->bytes[0] == 127;
}

bool address_is_private(const redirector_address *address)
{
    const uint8_t *b = address->bytes;
    if (address_is_loopback(address)) {
        return true;
    }
    if (address->family == 6) {
        return (b[0] & 0xFE) == 0xFC || (b[0] == 0xFE && (b[1] & 0xC0) == 0x80);
    }
    return b[0] == 10 || (b[0] == 172 && (b[1] & 0xF0) == 16) || (b[0] == 192 && b[1] == 168) ||
           (b[0] == 169 && b[1] == 254) || (b[0] == 100 && (b[1] & 0xC0) == 64);
}

bool address_equal(const redirector_address *a, const redirector_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0 &&
           (!a->scope || !b->scope || a->scope == b->scope);
}
