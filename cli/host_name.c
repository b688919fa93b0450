/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a connection has an address; the host's name is in the first data that most programs send: in
 * TLS the server name extension of the ClientHello (RFC 6066), in HTTP/1 the Host header. All of it is untrusted input:
 * it is read through a reader with bounds, and a name with a character that host names do not have is rejected.
 */
#include "host_name.h"

#include <stdbool.h>
#include <string.h>

/* ---- reading within bounds: a reader that has failed stays failed */

struct reader {
    const uint8_t *at;
    size_t left;
    bool short_of; /* more was requested than there is */
};

static uint32_t take_number(struct reader *r, size_t bytes)
{
    uint32_t number = 0;
    if (r->left < bytes) {
        r->short_of = true;
        r->left = 0;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        number = number << 8 | r->at[i];
    }
    r->at += bytes;
    r->left -= bytes;
    return number;
}

/* The next `bytes` as a reader of their own; what is there of them if not all is. */
static struct reader take_part(struct reader *r, size_t bytes)
{
    struct reader part = {.at = r->at, .left = bytes < r->left ? bytes : r->left, .short_of = bytes > r->left};
    r->at += part.left;
    r->left -= part.left;
    r->short_of |= part.short_of;
    return part;
}

static bool copy_name(char name[HOST_NAME_MAX_BYTES], const uint8_t *from, size_t length)
{
    if (length == 0 || length >= HOST_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        uint8_t c = from[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_' && c != ':') {
            return false;
        }
        name[i] = (char)c;
    }
    name[length] = '\0';
    return true;
}

/* ---- TLS */

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, SERVER_NAME = 0, HOST = 0, RECORD_HEADER = 5, HELLO_MAX = 4096 };

/* A handshake message may be cut into several records; joins what is there of it. */
static size_t join_records(const uint8_t *data, size_t length, uint8_t out[HELLO_MAX])
{
    size_t used = 0;
    while (length > RECORD_HEADER && data[0] == HANDSHAKE) {
        size_t size = (size_t)data[3] << 8 | data[4];
        data += RECORD_HEADER;
        length -= RECORD_HEADER;
        size_t part = size < length ? size : length;
        if (part > HELLO_MAX - used) {
            part = HELLO_MAX - used;
        }
        memcpy(out + used, data, part);
        used += part;
        data += part;
        length -= part;
        if (part < size) {
            break;
        }
    }
    return used;
}

static enum host_name_result find_in_extensions(struct reader extensions, char name[HOST_NAME_MAX_BYTES])
{
    while (extensions.left) {
        uint32_t kind = take_number(&extensions, 2);
        struct reader extension = take_part(&extensions, take_number(&extensions, 2));
        if (extensions.short_of) {
            break;
        }
        if (kind != SERVER_NAME) {
            continue;
        }
        take_number(&extension, 2); /* the list has one entry in practice */
        if (take_number(&extension, 1) != HOST) {
            return HOST_NAME_NONE;
        }
        struct reader host = take_part(&extension, take_number(&extension, 2));
        return !host.short_of && copy_name(name, host.at, host.left) ? HOST_NAME_FOUND : HOST_NAME_NONE;
    }
    return extensions.short_of ? HOST_NAME_MORE : HOST_NAME_NONE;
}

static enum host_name_result find_in_hello(const uint8_t *data, size_t length, char name[HOST_NAME_MAX_BYTES])
{
    uint8_t joined[HELLO_MAX];
    struct reader r = {.at = joined, .left = join_records(data, length, joined)};
    if (r.left < 4) {
        return HOST_NAME_MORE;
    }
    if (take_number(&r, 1) != CLIENT_HELLO) {
        return HOST_NAME_NONE;
    }
    struct reader hello = take_part(&r, take_number(&r, 3));
    take_part(&hello, 2 + 32);                 /* version, random */
    take_part(&hello, take_number(&hello, 1)); /* session */
    take_part(&hello, take_number(&hello, 2)); /* cipher suites */
    take_part(&hello, take_number(&hello, 1)); /* compression */
    if (!hello.left) {
        return hello.short_of ? HOST_NAME_MORE : HOST_NAME_NONE;
    }
    return find_in_extensions(take_part(&hello, take_number(&hello, 2)), name);
}

/* ---- HTTP */

static bool looks_like_http(const uint8_t *data, size_t length)
{
    static const char *const methods[] = {"GET ",    "POST ",    "PUT ",   "HEAD ",
                                          "DELETE ", "OPTIONS ", "PATCH ", "CONNECT "};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t size = strlen(methods[i]);
        if (memcmp(methods[i], data, length < size ? length : size) == 0) {
            return true;
        }
    }
    return false;
}

static const char host_header[] = "host:";

static bool is_host_header(const uint8_t *line, size_t length)
{
    for (size_t i = 0; i < sizeof host_header - 1; i++) {
        if (i == length || (line[i] >= 'A' && line[i] <= 'Z' ? line[i] | 0x20 : line[i]) != host_header[i]) {
            return false;
        }
    }
    return true;
}

static enum host_name_result find_in_request(const uint8_t *data, size_t length, char name[HOST_NAME_MAX_BYTES])
{
    const uint8_t *line = data, *end = data + length, *line_end;
    for (; (line_end = memchr(line, '\n', (size_t)(end - line))) != NULL; line = line_end + 1) {
        if (line_end - line <= 1) { /* the empty line behind the headers */
            return HOST_NAME_NONE;
        }
        if (!is_host_header(line, (size_t)(line_end - line))) {
            continue;
        }
        const uint8_t *from = line + sizeof host_header - 1, *to = line_end;
        while (from < to && (*from == ' ' || *from == '\t')) {
            from++;
        }
        while (to > from && (to[-1] == ' ' || to[-1] == '\r' || to[-1] == '\t')) {
            to--;
        }
        return copy_name(name, from, (size_t)(to - from)) ? HOST_NAME_FOUND : HOST_NAME_NONE;
    }
    return HOST_NAME_MORE;
}

enum host_name_result host_name_find(const uint8_t *data, size_t length, char name[HOST_NAME_MAX_BYTES])
{
    if (length == 0) {
        return HOST_NAME_MORE;
    }
    if (data[0] == HANDSHAKE) {
        return find_in_hello(data, length, name);
    }
    return looks_like_http(data, length) ? find_in_request(data, length, name) : HOST_NAME_NONE;
}
