/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the question is read, then, of an answer, the records of the answer section, each into one item
 * of the text. The message is untrusted (dns_reader.h). The work is bounded by its length, and by the text: when that is
 * full, the rest is not read.
 */
#include "dns_message.h"

#include "address.h"
#include "dns_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- the text */

struct text {
    char *out;
    uint32_t limit, used; /* without the room for what stands for the rest */
    bool full;
    const char *rest; /* what stands for it, if the text is full now */
};

static const char REST[] = " -> ..."; /* the longest of them */
static const char NAME_SPECIAL[] = ".\\", STRING_SPECIAL[] = "\"\\";

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    char piece[ADDRESS_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (t->full || length < 0 || (uint32_t)length > t->limit - t->used) {
        t->full = true;
        return;
    }
    memcpy(t->out + t->used, piece, (uint32_t)length + 1);
    t->used += (uint32_t)length;
}

/* `special`: characters that get a backslash. */
static void put_byte(struct text *t, uint8_t byte, const char *special)
{
    if (byte < ' ' || byte > '~' || (byte == ' ' && special == NAME_SPECIAL)) {
        put(t, "\\%03u", byte);
    } else {
        put(t, strchr(special, byte) ? "\\%c" : "%c", byte);
    }
}

/* ---- records */

static void put_name(struct text *t, struct dns_reader *r)
{
    uint8_t name[DNS_NAME_BYTES];
    dns_name(r, name);
    if (r->failed) {
        return;
    }
    if (!*name) {
        put(t, ".");
    }
    for (const uint8_t *label = name; *label; label += *label + 1) {
        if (label != name) {
            put(t, ".");
        }
        for (uint32_t i = 1; i <= *label; i++) {
            put_byte(t, label[i], NAME_SPECIAL);
        }
    }
}

/* The types whose data people can read: some numbers of 16 bits, and a name. */
static const struct kind {
    uint16_t type;
    uint8_t numbers;
    bool has_name;
    const char *name;
} kinds[] = {
    {DNS_TYPE_A, 0, false, "A"},
    {2, 0, true, "NS"},
    {DNS_TYPE_CNAME, 0, true, "CNAME"},
    {6, 0, false, "SOA"},
    {12, 0, true, "PTR"},
    {15, 1, true, "MX"},
    {DNS_TYPE_TXT, 0, false, "TXT"},
    {DNS_TYPE_AAAA, 0, false, "AAAA"},
    {33, 3, true, "SRV"},
    {35, 0, false, "NAPTR"},
    {39, 0, true, "DNAME"},
    {43, 0, false, "DS"},
    {46, 0, false, "RRSIG"},
    {47, 0, false, "NSEC"},
    {48, 0, false, "DNSKEY"},
    {52, 0, false, "TLSA"},
    {64, 1, true, "SVCB"},
    {65, 1, true, "HTTPS"},
    {255, 0, false, "ANY"},
    {257, 0, false, "CAA"},
};

static const struct kind *kind_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].type == type) {
            return &kinds[i];
        }
    }
    return NULL;
}

static void put_type(struct text *t, uint32_t type, uint32_t class)
{
    const struct kind *kind = kind_of(type);
    if (class != DNS_CLASS_IN) {
        put(t, "CLASS%u ", (unsigned)class);
    }
    if (kind) {
        put(t, "%s", kind->name);
    } else {
        put(t, "TYPE%u", (unsigned)type); /* RFC 3597 */
    }
}

static void put_address(struct text *t, struct dns_reader *data, uint8_t family, uint32_t bytes)
{
    redirector_address address = {.family = family};
    char ip[ADDRESS_TEXT_MAX];
    struct dns_reader part = dns_part(data, bytes);
    if (!part.failed) {
        memcpy(address.bytes, part.data + part.at, bytes);
        address_ip_text(ip, &address);
        put(t, "%s", ip);
    }
}

static void put_strings(struct text *t, struct dns_reader *data)
{
    for (bool first = true; data->at < data->end && !t->full; first = false) {
        struct dns_reader string = dns_part(data, dns_number(data, 1));
        if (string.failed) {
            return;
        }
        put(t, first ? "\"" : " \"");
        while (string.at < string.end) {
            put_byte(t, string.data[string.at++], STRING_SPECIAL);
        }
        put(t, "\"");
    }
}

/* What a record says; nothing, if that is not for people. */
static void put_data(struct text *t, struct dns_reader *data, uint32_t type)
{
    const struct kind *kind = kind_of(type);
    if (type == DNS_TYPE_A) {
        put_address(t, data, 4, 4);
    } else if (type == DNS_TYPE_AAAA) {
        put_address(t, data, 6, 16);
    } else if (type == DNS_TYPE_TXT) {
        put_strings(t, data);
    } else if (kind && kind->has_name) {
        for (int i = 0; i < kind->numbers; i++) {
            put(t, "%u ", (unsigned)dns_number(data, 2));
        }
        put_name(t, data);
    } else {
        put(t, "(%u bytes)", (unsigned)(data->end - data->at));
    }
}

struct question {
    uint32_t type, class;
};

/* Reads a record, and writes it. */
static void put_record(struct text *t, struct dns_reader *r, const struct question *asked)
{
    dns_name(r, NULL);
    uint32_t type = dns_number(r, 2), class = dns_number(r, 2);
    dns_number(r, 4); /* how long it may be kept */
    struct dns_reader data = dns_part(r, dns_number(r, 2));
    if (r->failed) {
        return;
    }
    if (type != asked->type || class != asked->class) {
        put_type(t, type, class);
        put(t, " ");
    }
    put_data(t, &data, type);
    r->failed |= data.failed;
}

/* ---- items, of which each is written whole or not at all */

static void begin_item(struct text *t, bool *first)
{
    const char *between = t->used ? " -> " : "-> ";
    if (!t->full) {
        t->rest = *first ? REST + (t->used ? 0 : 1) : ", ...";
    }
    put(t, "%s", *first ? between : ", ");
    *first = false;
}

static void put_note(struct text *t, bool *first, const char *note)
{
    uint32_t used = t->used;
    begin_item(t, first);
    put(t, "%s", note);
    t->used = t->full ? used : t->used;
}

static void put_status(struct text *t, bool *first, uint32_t status)
{
    static const char *const names[] = {NULL,       "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    char number[16];
    snprintf(number, sizeof number, "RCODE%u", (unsigned)status);
    put_note(t, first, status < sizeof names / sizeof names[0] ? names[status] : number);
}

static void put_answer(struct text *t, struct dns_reader *r, uint32_t flags, uint32_t records,
                       const struct question *asked)
{
    bool first = true;
    for (; records && !t->full; records--) {
        struct text before = *t;
        bool was_first = first;
        begin_item(t, &first);
        put_record(t, r, asked);
        if (r->failed) {
            *t = before;
            first = was_first;
            break;
        }
        t->used = t->full ? before.used : t->used;
    }
    if (flags & DNS_STATUS) {
        put_status(t, &first, flags & DNS_STATUS);
    }
    if (flags & DNS_IS_TRUNCATED) {
        put_note(t, &first, "truncated");
    } else if (r->failed) {
        put_note(t, &first, "malformed");
    } else if (first) {
        put_note(t, &first, "no records");
    }
}

bool dns_message_describe(const uint8_t *data, uint32_t length, char *out, uint32_t size)
{
    struct text t = {.out = out, .limit = size - (uint32_t)sizeof REST, .rest = "..."};
    struct dns_reader r = {.data = data, .end = length};
    struct question asked = {0, DNS_CLASS_IN};
    if (size) {
        out[0] = '\0';
    }
    if (size < DNS_MESSAGE_TEXT_LEAST) {
        return false;
    }
    struct dns_head h = dns_read_head(&r);
    uint32_t flags = h.flags, questions = h.questions;
    if (r.failed || flags & DNS_OPERATION || questions > 1 ||
        (!questions && !(flags & DNS_IS_ANSWER && flags & DNS_STATUS))) {
        return false;
    }
    if (questions) {
        struct dns_reader name = r;
        dns_name(&r, NULL);
        asked.type = dns_number(&r, 2);
        asked.class = dns_number(&r, 2);
        if (r.failed) {
            return false;
        }
        put_type(&t, asked.type, asked.class);
        put(&t, " ");
        put_name(&t, &name);
    }
    if (flags & DNS_IS_ANSWER) {
        put_answer(&t, &r, flags, h.records, &asked);
    }
    if (t.full) {
        memcpy(t.out + t.used, t.rest, strlen(t.rest) + 1);
    }
    return true;
}
