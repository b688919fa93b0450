/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file dns_message.h
 * What a DNS message says, in one line for people.
 */
#ifndef CLI_DNS_MESSAGE_H
#define CLI_DNS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DNS_MESSAGE_TEXT_LEAST = 16, /**< less room is refused */
    DNS_MESSAGE_TEXT_MAX = 512,  /**< enough for what people want to read */
};

/**
 * Describes a datagram of DNS (RFC 1035, without the two bytes of length that TCP has): a question as "A example.org",
 * an answer as "A example.org -> 192.0.2.1, 192.0.2.2", "A example.org -> NXDOMAIN", or "A www.example.org -> CNAME
 * example.org, 192.0.2.1". What is not of the type that was requested has its type before it. At the end "truncated"
 * if the server says so, "malformed" if the rest could not be read, "..." if it did not fit.
 *
 * The text is printable ASCII whatever the message holds: other bytes are \DDD, and a dot within a label is "\." (RFC 4343
 * section 2.1). It ends with NUL and is at most `size` bytes with it.
 *
 * False, and an empty text: it is no question or answer of DNS, or `size` is less than DNS_MESSAGE_TEXT_LEAST.
 */
bool dns_message_describe(const uint8_t *data, uint32_t length, char *out, uint32_t size);

#endif
