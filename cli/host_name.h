/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file host_name.h
 * The host that a program asks for, read from the first bytes it sends.
 */
#ifndef CLI_HOST_NAME_H
#define CLI_HOST_NAME_H

#include <stddef.h>
#include <stdint.h>

enum { HOST_NAME_MAX_BYTES = 256 };

enum host_name_result {
    HOST_NAME_FOUND,
    HOST_NAME_NONE, /**< there is no name */
    HOST_NAME_MORE, /**< not complete: more bytes are needed */
};

/** Finds the name in a TLS ClientHello (SNI) or in a request of HTTP/1 (Host). `name` gets letters, digits, '.', '-',
 * '_' and ':' only. */
enum host_name_result host_name_find(const uint8_t *data, size_t length, char name[HOST_NAME_MAX_BYTES]);

#endif
