/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the records are read once for each step from alias to alias, of which there are few. A name that
 * has an alias has no addresses itself (RFC 1034 section 3.6.2), so one that leads round to itself has none at all. The
 * message is untrusted; the work is bounded by the number of records and of steps.
 */
#include "dns_addresses.h"

#include "dns_reader.h"

#include <string.h>

enum { ALIASES_MAX = 16, RECORDS_MAX = 256 };

struct look_up {
    uint8_t name[DNS_NAME_BYTES], alias[DNS_NAME_BYTES]; /* `alias` is set if there is one */
    bool has_alias;
    redirector_address *out;
    uint32_t count, most;
};

static uint8_t small(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Letters match in either case. */
static bool same_name(const uint8_t *a, const uint8_t *b)
{
    for (uint32_t left = 0;; a++, b++, left--) {
        if (!left && *a != *b) {
            return false;
        }
        if (!left && !*a) {
            return true;
        }
        if (left && small(*a) != small(*b)) {
            return false;
        }
        left = left ? left : *a + 1u;
    }
}

static void take_record(struct dns_reader *r, struct look_up *l)
{
    uint8_t owner[DNS_NAME_BYTES];
    dns_name(r, owner);
    uint32_t type = dns_number(r, 2), class = dns_number(r, 2);
    dns_number(r, 4); /* how long it may be kept */
    struct dns_reader data = dns_part(r, dns_number(r, 2));
    if (r->failed || class != DNS_CLASS_IN || !same_name(owner, l->name)) {
        return;
    }
    uint32_t size = data.end - data.at;
    if (type == DNS_TYPE_CNAME) {
        dns_name(&data, l->alias);
        l->has_alias = true;
        r->failed |= data.failed;
    } else if (((type == DNS_TYPE_A && size == 4) || (type == DNS_TYPE_AAAA && size == 16)) && l->count < l->most) {
        l->out[l->count] = (redirector_address){.family = size == 4 ? 4 : 6};
        memcpy(l->out[l->count++].bytes, data.data + data.at, size);
    }
}

/* As text; false: it is no name of a host. */
static bool write_host(char out[DNS_HOST_MAX], const uint8_t *name)
{
    uint32_t used = 0;
    for (; *name; name += *name + 1) {
        if (used) {
            out[used++] = '.';
        }
        for (uint32_t i = 1; i <= *name; i++) {
            uint8_t c = small(name[i]);
            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
                return false;
            }
            out[used++] = (char)c;
        }
    }
    out[used] = '\0';
    return used;
}

uint32_t dns_addresses(const uint8_t *data, uint32_t length, char name[DNS_HOST_MAX], redirector_address *out,
                       uint32_t most)
{
    struct dns_reader r = {.data = data, .end = length};
    struct look_up l = {.out = out, .most = most};
    struct dns_head h = dns_read_head(&r);
    if (r.failed || !(h.flags & DNS_IS_ANSWER) || h.flags & (DNS_OPERATION | DNS_STATUS) || h.questions != 1) {
        return 0;
    }
    dns_name(&r, l.name);
    dns_number(&r, 2);
    if (dns_number(&r, 2) != DNS_CLASS_IN || r.failed || !write_host(name, l.name)) {
        return 0;
    }
    for (int step = 0; step < ALIASES_MAX; step++) {
        struct dns_reader again = r;
        l.count = 0;
        l.has_alias = false;
        for (uint32_t i = 0; i < h.records && i < RECORDS_MAX && !again.failed; i++) {
            take_record(&again, &l);
        }
        if (again.failed || !l.has_alias) {
            return again.failed ? 0 : l.count;
        }
        memcpy(l.name, l.alias, sizeof l.name);
    }
    return 0;
}

bool dns_id(const uint8_t *data, uint32_t length, bool answer, uint16_t *id)
{
    struct dns_reader r = {.data = data, .end = length};
    struct dns_head h = dns_read_head(&r);
    *id = (uint16_t)h.id;
    return !r.failed && !(h.flags & DNS_IS_ANSWER) == !answer;
}
