/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the message is untrusted. A compressed name may only point to before the piece that it is in: each
 * jump leads nearer to the header, so no name is endless.
 */
#include "dns_reader.h"

#include <string.h>

enum { HEADER = 12, LABEL_MAX = 63, POINTER = 0xc0 };

uint32_t dns_number(struct dns_reader *r, uint32_t bytes)
{
    uint32_t number = 0;
    if (r->failed || bytes > r->end - r->at) {
        r->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        number = number << 8 | r->data[r->at++];
    }
    return number;
}

struct dns_reader dns_part(struct dns_reader *r, uint32_t bytes)
{
    struct dns_reader part = *r;
    if (r->failed || bytes > r->end - r->at) {
        part.failed = r->failed = true;
        return part;
    }
    r->at += bytes;
    part.end = r->at;
    return part;
}

struct dns_head dns_read_head(struct dns_reader *r)
{
    struct dns_head h = {.id = dns_number(r, 2)};
    h.flags = dns_number(r, 2);
    h.questions = dns_number(r, 2);
    h.records = dns_number(r, 2);
    dns_number(r, 4); /* the number of other records */
    return h;
}

void dns_name(struct dns_reader *r, uint8_t out[DNS_NAME_BYTES])
{
    struct dns_reader here = *r;
    uint32_t piece = here.at, bytes = 0, length;
    bool jumped = false;
    do {
        length = dns_number(&here, 1);
        if (length >= POINTER) {
            uint32_t target = (length - POINTER) << 8 | dns_number(&here, 1);
            r->at = jumped ? r->at : here.at;
            jumped = true;
            here.failed |= target < HEADER || target >= piece;
            here.at = piece = here.failed ? piece : target;
            continue;
        }
        struct dns_reader label = dns_part(&here, length);
        here.failed |= length > LABEL_MAX || (bytes += 1 + length) > DNS_NAME_BYTES;
        if (!here.failed && out) {
            out[bytes - 1 - length] = (uint8_t)length;
            memcpy(out + bytes - length, label.data + label.at, length);
        }
    } while (!here.failed && length);
    r->at = jumped ? r->at : here.at;
    r->failed |= here.failed;
}
