/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file dns_addresses.h  Which addresses a name has, by an answer of the DNS. */
#ifndef CLI_DNS_ADDRESSES_H
#define CLI_DNS_ADDRESSES_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DNS_PORT = 53,
    DNS_HOST_MAX = 255,     /**< a name of 253 characters, and more than its NUL */
    DNS_ADDRESSES_MAX = 64, /**< of an answer, that are told */
};

/**
 * The addresses that an answer (RFC 1035, without the two bytes of length that TCP has) gives to the name that was asked,
 * also by way of aliases (CNAME), and that name in small letters. 0: none: it is no answer, it says that there is none,
 * it is malformed, or the name is none of a host. At most `most`, of the first 256 records; ports are 0.
 */
uint32_t dns_addresses(const uint8_t *data, uint32_t length, char name[DNS_HOST_MAX], redirector_address *out,
                       uint32_t most);

/** The id of a message, by which an answer is known; false: it is no message, or not of that kind. */
bool dns_id(const uint8_t *data, uint32_t length, bool answer, uint16_t *id);

#endif
