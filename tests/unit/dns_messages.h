/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages of the DNS, written piece by piece. */
#ifndef DNS_MESSAGES_H
#define DNS_MESSAGES_H

#include "packets.h"

enum { QUERY = 0x0100, ANSWER = 0x8180, TRUNCATED = 0x0200, NXDOMAIN = 3 };
enum { A = 1, NS = 2, CNAME = 5, MX = 15, TXT = 16, AAAA = 28, SRV = 33, HTTPS = 65, IN = 1 };
enum { QUESTION_NAME = 0xc00c }; /* a pointer to the question's name */

struct message {
    uint8_t bytes[4096];
    uint32_t length;
};

static inline void add_bytes(struct message *m, const void *bytes, uint32_t size)
{
    assert_true(m->length + size <= sizeof m->bytes);
    memcpy(m->bytes + m->length, bytes, size);
    m->length += size;
}

static inline void add16(struct message *m, uint32_t number)
{
    add_bytes(m, (uint8_t[]){(uint8_t)(number >> 8), (uint8_t)number}, 2);
}

static inline void add_label(struct message *m, const char *label, uint32_t size)
{
    add_bytes(m, &(uint8_t){(uint8_t)size}, 1);
    add_bytes(m, label, size);
}

static inline void add_name(struct message *m, const char *name)
{
    for (; *name; name += name[strcspn(name, ".")] ? strcspn(name, ".") + 1 : strcspn(name, ".")) {
        add_label(m, name, (uint32_t)strcspn(name, "."));
    }
    add_label(m, "", 0);
}

static inline struct message message_of(uint32_t flags, uint32_t questions, uint32_t answers)
{
    struct message m = {.length = 0};
    uint32_t header[] = {0x1234, flags, questions, answers, 0, 0};
    for (int i = 0; i < 6; i++) {
        add16(&m, header[i]);
    }
    return m;
}

static inline struct message question_of(uint32_t flags, uint32_t answers, uint32_t type, const char *name)
{
    struct message m = message_of(flags, 1, answers);
    add_name(&m, name);
    add16(&m, type);
    add16(&m, IN);
    return m;
}

/* A record of the question's name, up to its data. */
static inline void add_record(struct message *m, uint32_t type, uint32_t size)
{
    add16(m, QUESTION_NAME);
    add16(m, type);
    add16(m, IN);
    add16(m, 0);
    add16(m, 60);
    add16(m, size);
}

static inline void add_a(struct message *m, uint8_t last)
{
    add_record(m, A, 4);
    add_bytes(m, (uint8_t[]){192, 0, 2, last}, 4);
}

#endif
