/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file dns_reader.h  Reads a DNS message (RFC 1035) within bounds. */
#ifndef CLI_DNS_READER_H
#define CLI_DNS_READER_H

#include <stdbool.h>
#include <stdint.h>

enum { DNS_CLASS_IN = 1, DNS_NAME_BYTES = 255 };
enum { DNS_IS_ANSWER = 0x8000, DNS_OPERATION = 0x7800, DNS_IS_TRUNCATED = 0x0200, DNS_STATUS = 0x000f };
enum { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_TXT = 16, DNS_TYPE_AAAA = 28 };

/** One that has failed stays failed. */
struct dns_reader {
    const uint8_t *data;
    uint32_t at, end; /**< of the part that is read */
    bool failed;
};

/** The head of a message. */
struct dns_head {
    uint32_t id, flags, questions, records;
};

struct dns_head dns_read_head(struct dns_reader *r);

uint32_t dns_number(struct dns_reader *r, uint32_t bytes);

/** The next `bytes` as a reader of their own. */
struct dns_reader dns_part(struct dns_reader *r, uint32_t bytes);

/** Reads a name as its labels, each a length and so many bytes, the last of length 0. `out` NULL: only past it. */
void dns_name(struct dns_reader *r, uint8_t out[DNS_NAME_BYTES]);

#endif
