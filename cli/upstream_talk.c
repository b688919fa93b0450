/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the protocols of upstream proxies are SOCKS5 (RFC 1928) with a login by user and password (RFC
 * 1929), for TCP and for UDP, and CONNECT of HTTP/1.1 (RFC 9110, section 9.3.6) with Basic authentication. A message may
 * come in any number of pieces, and data after the last one is already the destination's.
 */
#include "upstream.h"

#include "address.h"
#include "socks_udp.h"

#include <stdio.h>
#include <string.h>

static const char *const failure_texts[] = {
    [UPSTREAM_OK] = "",
    [UPSTREAM_NOT_A_PROXY] = "does not answer as such a proxy does",
    [UPSTREAM_NO_LOGIN] = "rejects the login",
    [UPSTREAM_FORBIDS] = "forbids the destination",
    [UPSTREAM_NO_WAY] = "cannot reach the destination",
    [UPSTREAM_REFUSED] = "was refused by the destination",
    [UPSTREAM_NO_UDP] = "carries no UDP",
    [UPSTREAM_SILENT] = "does not answer",
};

const char *upstream_failure_text(enum upstream_failure failure)
{
    return failure_texts[failure];
}

static enum upstream_next fail(upstream_talk *talk, enum upstream_failure failure)
{
    talk->failure = failure;
    return UPSTREAM_FAILED;
}

static void drop(char *buffer, uint32_t *length, uint32_t count)
{
    memmove(buffer, buffer + count, *length - count);
    *length -= count;
}

/* ---- SOCKS5 */

enum { VERSION = 5, LOGIN_VERSION = 1, NO_LOGIN = 0, USER_AND_PASSWORD = 2, CONNECT = 1, UDP_ASSOCIATE = 3 };
enum { IPV4 = 1, NAME = 3, IPV6 = 4 };

static enum upstream_next socks_request(upstream_talk *talk, char *buffer, uint32_t *length)
{
    if (!talk->destination) { /* the login is all that was wanted */
        *length = 0;
        return UPSTREAM_DONE;
    }
    *length = socks_udp_write((uint8_t *)buffer, talk->destination); /* but for its first bytes a request is the same */
    buffer[0] = VERSION;
    buffer[1] = talk->associate ? UDP_ASSOCIATE : CONNECT;
    talk->step = TALK_REQUEST;
    return UPSTREAM_SEND;
}

static uint32_t put_string(char *out, const char *text)
{
    size_t size = strlen(text);
    out[0] = (char)size;
    memcpy(out + 1, text, size); /* NOLINT(bugprone-not-null-terminated-result): the length stands before it */
    return (uint32_t)size + 1;
}

static enum upstream_next socks_greeted(upstream_talk *talk, char *buffer, uint32_t *length)
{
    if (*length < 2) {
        return UPSTREAM_RECEIVE;
    }
    if (buffer[0] != VERSION) {
        return fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    if (buffer[1] == NO_LOGIN) {
        return socks_request(talk, buffer, length);
    }
    if (buffer[1] != USER_AND_PASSWORD || !*talk->to->user) {
        return fail(talk, UPSTREAM_NO_LOGIN);
    }
    buffer[0] = LOGIN_VERSION;
    *length = 1;
    *length += put_string(buffer + *length, talk->to->user);
    *length += put_string(buffer + *length, talk->to->password);
    talk->step = TALK_LOGIN;
    return UPSTREAM_SEND;
}

static enum upstream_next socks_logged_in(upstream_talk *talk, char *buffer, uint32_t *length)
{
    if (*length < 2) {
        return UPSTREAM_RECEIVE;
    }
    if (buffer[1] != 0) {
        return fail(talk, UPSTREAM_NO_LOGIN);
    }
    return socks_request(talk, buffer, length);
}

static enum upstream_failure socks_failure(uint8_t reply, bool associate)
{
    switch (reply) {
    case 0:
        return UPSTREAM_OK;
    case 2: /* not allowed by the ruleset */
        return UPSTREAM_FORBIDS;
    case 5:
        return UPSTREAM_REFUSED;
    case 7: /* no such command */
        return associate ? UPSTREAM_NO_UDP : UPSTREAM_NO_WAY;
    default: /* general failure, network or host unreachable, TTL expired, no such type of address */
        return UPSTREAM_NO_WAY;
    }
}

/* Where the proxy takes datagrams. False: nobody could send any there. */
static bool read_bound(upstream_talk *talk, const char *buffer, uint32_t size)
{
    redirector_address *bound = &talk->bound;
    *bound = (redirector_address){.family = buffer[3] == IPV6 ? 6 : 4};
    memcpy(bound->bytes, buffer + 4, size - 6);
    bound->port = (uint32_t)(uint8_t)buffer[size - 2] << 8 | (uint8_t)buffer[size - 1];
    bool multicast = bound->family == 6 ? bound->bytes[0] == 0xff : bound->bytes[0] >= 224;
    return bound->port && !multicast;
}

static enum upstream_next socks_connected(upstream_talk *talk, char *buffer, uint32_t *length)
{
    uint32_t size;
    if (*length < 5) {
        return UPSTREAM_RECEIVE;
    }
    if (buffer[0] != VERSION) {
        return fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    enum upstream_failure failure = socks_failure((uint8_t)buffer[1], talk->associate);
    if (failure) {
        return fail(talk, failure);
    }
    switch (buffer[3]) { /* the address it is bound to; for TCP its length is all that matters */
    case IPV4:
        size = 4 + 4 + 2;
        break;
    case IPV6:
        size = 4 + 16 + 2;
        break;
    case NAME:
        size = 4 + 1 + (uint8_t)buffer[4] + 2;
        if (talk->associate) {
            return fail(talk, UPSTREAM_NOT_A_PROXY);
        }
        break;
    default:
        return fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    if (*length < size) {
        return UPSTREAM_RECEIVE;
    }
    if (talk->associate && !read_bound(talk, buffer, size)) {
        return fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    drop(buffer, length, size);
    return UPSTREAM_DONE;
}

/* ---- HTTP */

static void base64(char *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)(uint8_t)text[i] << 16 | (left > 1 ? (uint32_t)(uint8_t)text[i + 1] << 8 : 0) |
                        (left > 2 ? (uint8_t)text[i + 2] : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

static enum upstream_next http_request(upstream_talk *talk, char *buffer, uint32_t *length)
{
    char to[ADDRESS_TEXT_MAX], login[sizeof talk->to->user + sizeof talk->to->password];
    char secret[4 * sizeof login / 3 + 8], header[sizeof secret + 64] = "";
    if (!talk->destination) { /* HTTP has no login without a request */
        *length = 0;
        return UPSTREAM_DONE;
    }
    if (*talk->to->user) {
        snprintf(login, sizeof login, "%s:%s", talk->to->user, talk->to->password);
        base64(secret, login);
        snprintf(header, sizeof header, "Proxy-Authorization: Basic %s\r\n", secret);
    }
    redirector_address destination = address_without_scope(talk->destination);
    address_text(to, &destination);
    *length =
        (uint32_t)snprintf(buffer, UPSTREAM_MESSAGE_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", to, to, header);
    talk->step = TALK_REQUEST;
    return UPSTREAM_SEND;
}

static enum upstream_failure http_failure(const char *status)
{
    if (status[0] == '2') {
        return UPSTREAM_OK;
    }
    if (strncmp(status, "407", 3) == 0 || strncmp(status, "401", 3) == 0) { /* tinyproxy answers 401 */
        return UPSTREAM_NO_LOGIN;
    }
    if (status[0] == '4') {
        return UPSTREAM_FORBIDS;
    }
    return status[0] == '5' ? UPSTREAM_NO_WAY : UPSTREAM_NOT_A_PROXY;
}

/* The position after the empty line; NULL: it has not arrived yet. A line may end with LF alone (RFC 9112, 2.2). */
static const char *header_end(const char *buffer, uint32_t length)
{
    for (uint32_t i = 2; i < length; i++) {
        const char *last = buffer + i;
        if (*last == '\n' && (last[-1] == '\n' || (last[-1] == '\r' && last[-2] == '\n'))) {
            return last + 1;
        }
    }
    return NULL;
}

static enum upstream_next http_answered(upstream_talk *talk, char *buffer, uint32_t *length)
{
    static const char version[] = "HTTP/1.";
    uint32_t known = *length < sizeof version - 1 ? *length : sizeof version - 1;
    if (memcmp(buffer, version, known) != 0) {
        return fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    const char *end = header_end(buffer, *length);
    if (!end) {
        return *length < UPSTREAM_MESSAGE_MAX ? UPSTREAM_RECEIVE : fail(talk, UPSTREAM_NOT_A_PROXY);
    }
    enum upstream_failure failure = buffer[8] == ' ' ? http_failure(buffer + 9) : UPSTREAM_NOT_A_PROXY;
    if (failure) {
        return fail(talk, failure);
    }
    drop(buffer, length, (uint32_t)(end - buffer));
    return UPSTREAM_DONE;
}

/* ---- both */

enum upstream_next upstream_begin(upstream_talk *talk, char *buffer, uint32_t *length)
{
    talk->step = TALK_GREETING;
    talk->failure = UPSTREAM_OK;
    if (talk->to->kind == UPSTREAM_HTTP) {
        return http_request(talk, buffer, length);
    }
    buffer[0] = VERSION;
    buffer[1] = *talk->to->user ? 2 : 1; /* how many ways we offer */
    buffer[2] = NO_LOGIN;
    buffer[3] = USER_AND_PASSWORD;
    *length = *talk->to->user ? 4 : 3;
    return UPSTREAM_SEND;
}

enum upstream_next upstream_feed(upstream_talk *talk, char *buffer, uint32_t *length)
{
    if (talk->to->kind == UPSTREAM_HTTP) {
        return http_answered(talk, buffer, length);
    }
    switch (talk->step) {
    case TALK_GREETING:
        return socks_greeted(talk, buffer, length);
    case TALK_LOGIN:
        return socks_logged_in(talk, buffer, length);
    default:
        return socks_connected(talk, buffer, length);
    }
}
