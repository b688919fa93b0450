/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The URL of a proxy. */
#include "upstream.h"

#include "address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct scheme {
    const char *text;
    enum upstream_kind kind;
    uint32_t port;
} schemes[] = {
    {"socks5://", UPSTREAM_SOCKS5, 1080},
    {"http://", UPSTREAM_HTTP, 8080},
};

static bool copy(char *out, size_t size, const char *from, size_t length)
{
    if (length >= size) {
        return false;
    }
    memcpy(out, from, length);
    out[length] = '\0';
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%40" is "@": in a password everything may occur. False: no such thing, or too long (RFC 1929 has room for 255). */
static bool copy_decoded(char *out, size_t size, const char *from, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)from[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_digit(from[i + 1]) : -1;
            int low = i + 2 < length ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0) {
                return false;
            }
            c = high << 4 | low;
            i += 2;
        }
        if (used + 1 >= size) {
            return false;
        }
        out[used++] = (char)c;
    }
    out[used] = '\0';
    return true;
}

/* "user:password@": the password may be left to the environment, where no list of processes shows it. */
static const char *read_login(struct upstream *u, const char *text, const char *at)
{
    const char *colon = memchr(text, ':', (size_t)(at - text));
    const char *user_end = colon ? colon : at;
    if (user_end == text || !copy_decoded(u->user, sizeof u->user, text, (size_t)(user_end - text))) {
        return "its user name is not right";
    }
    if (colon) {
        return copy_decoded(u->password, sizeof u->password, colon + 1, (size_t)(at - colon - 1))
                   ? NULL
                   : "its password is not right";
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the environment is not changed */
    const char *secret = getenv("REDIRECTOR_UPSTREAM_PASSWORD");
    if (!secret || !copy(u->password, sizeof u->password, secret, strlen(secret))) {
        return "its password is missing, here and in REDIRECTOR_UPSTREAM_PASSWORD";
    }
    return NULL;
}

/* "host", "host:port", "[v6]:port", and a slash at the end. */
static const char *read_host(struct upstream *u, const char *text)
{
    size_t length = strlen(text);
    if (length && text[length - 1] == '/') {
        length--;
    }
    const char *end = text + length, *host = text, *host_end, *colon;
    if (*text == '[') {
        host = text + 1;
        host_end = memchr(text, ']', length);
        colon = host_end ? host_end + 1 : NULL;
        if (!host_end || (colon != end && *colon != ':')) {
            return "its address is not right";
        }
    } else {
        colon = memchr(text, ':', length);
        host_end = colon ? colon : end;
    }
    if (host_end == host || !copy(u->host, sizeof u->host, host, (size_t)(host_end - host)) ||
        strpbrk(u->host, "/ \t@")) {
        return "its host is missing or not right";
    }
    if (colon && colon != end) {
        char *rest;
        unsigned long port = strtoul(colon + 1, &rest, 10);
        if (rest != end || colon[1] < '0' || colon[1] > '9' || port < 1 || port > PORT_MAX) {
            return "its port is not right";
        }
        u->port = (uint32_t)port;
    }
    return NULL;
}

static const char *read_url(struct upstream *u, const char *url)
{
    if (strcmp(url, "direct") == 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i].text);
        if (strncmp(url, schemes[i].text, length) != 0) {
            continue;
        }
        u->kind = schemes[i].kind;
        u->port = schemes[i].port;
        const char *rest = url + length, *at = strrchr(rest, '@');
        const char *wrong = at ? read_login(u, rest, at) : NULL;
        if (!wrong) {
            wrong = read_host(u, at ? at + 1 : rest);
        }
        bool v6 = strchr(u->host, ':') != NULL;
        snprintf(u->name, sizeof u->name, "%s%s%s%s:%u", schemes[i].text, v6 ? "[" : "", u->host, v6 ? "]" : "",
                 (unsigned)u->port);
        return wrong;
    }
    return "it begins neither with socks5:// nor with http:// and is not 'direct'";
}

const char *upstream_read(struct upstream *out, const char *url)
{
    *out = (struct upstream){.kind = UPSTREAM_DIRECT};
    return read_url(out, url);
}

const char *upstream_check(const char *url)
{
    struct upstream u;
    const char *wrong = upstream_read(&u, url);
    SecureZeroMemory(&u, sizeof u);
    return wrong;
}

bool upstream_begins(const char *text)
{
    bool named = strcmp(text, "direct") == 0 || strncmp(text, "direct,", 7) == 0;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        named |= strncmp(text, schemes[i].text, strlen(schemes[i].text)) == 0;
    }
    return named;
}
