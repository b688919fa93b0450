/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file upstream.h
 * Proxies that the relay connects through: their URLs and protocols.
 */
#ifndef CLI_UPSTREAM_H
#define CLI_UPSTREAM_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    UPSTREAM_RULES_MAX = 64,      /**< proxies of a list */
    UPSTREAM_MESSAGE_MAX = 16384, /**< longest message of either side */
    UPSTREAM_ADDRESSES_MAX = 16,  /**< of one host */
};

enum upstream_kind { UPSTREAM_DIRECT, UPSTREAM_SOCKS5, UPSTREAM_HTTP };

/** One proxy, or none at all (UPSTREAM_DIRECT). */
struct upstream {
    enum upstream_kind kind;
    char host[256]; /**< as given */
    char name[300]; /**< for people, "socks5://host:port"; never with a password */
    uint32_t port;
    redirector_address addresses[UPSTREAM_ADDRESSES_MAX]; /**< in the order in which they are tried */
    uint32_t address_count;                               /**< 1 or more after routes_open() */
    uint32_t local; /**< a bit for each address that is one of this machine's; after relay_loop_find_local() */
    char user[256], password[256];
};

struct upstream_list {
    struct upstream entries[UPSTREAM_RULES_MAX];
    uint32_t count;
};

/** Whether the text begins with such a URL, or is "direct", perhaps with more behind a comma. */
bool upstream_begins(const char *text);

/** Reads the URL of a proxy, or "direct". NULL, or what is wrong with it. */
const char *upstream_read(struct upstream *out, const char *url);

/** Whether datagrams can go that way: not through an HTTP proxy, nor through two in a row. */
static inline bool upstream_carries_datagrams(const struct upstream *u, bool over_another)
{
    return u->kind == UPSTREAM_DIRECT || (u->kind == UPSTREAM_SOCKS5 && !over_another);
}

/** What is wrong with a URL, or "direct", as a file of rules names it; NULL: nothing. */
const char *upstream_check(const char *url);

/** The protocol with a proxy that makes it connect to a destination. Without I/O: the caller moves the bytes. */
typedef struct upstream_talk {
    const struct upstream *to;
    const redirector_address *destination; /**< NULL: only as far as the login, as a check */
    bool associate;                        /**< SOCKS5: for datagrams; `destination` gives no more than the family */
    redirector_address bound; /**< then where the proxy takes them; bytes that are all 0: at its own address */
    enum { TALK_GREETING, TALK_LOGIN, TALK_REQUEST } step;
    enum upstream_failure {
        UPSTREAM_OK,
        UPSTREAM_NOT_A_PROXY, /**< it uses another protocol, or closes */
        UPSTREAM_NO_LOGIN,    /**< it rejects user and password, or wants some and there are none */
        UPSTREAM_FORBIDS,     /**< it may not go there */
        UPSTREAM_NO_WAY,      /**< it has no route, or the destination does not answer */
        UPSTREAM_REFUSED,     /**< the destination refuses */
        UPSTREAM_NO_UDP,      /**< it carries TCP only */
        UPSTREAM_SILENT,      /**< it is connected, but does not answer in time */
    } failure;
} upstream_talk;

enum upstream_next {
    UPSTREAM_SEND,    /**< send what is in the buffer, then receive */
    UPSTREAM_RECEIVE, /**< the message is not complete: receive more behind it */
    UPSTREAM_DONE,    /**< connected; what is left in the buffer is the destination's */
    UPSTREAM_FAILED,  /**< see `failure` */
};

/** Begins; never UPSTREAM_RECEIVE. `buffer` holds UPSTREAM_MESSAGE_MAX bytes, *length of them used. */
enum upstream_next upstream_begin(upstream_talk *talk, char *buffer, uint32_t *length);

/** Takes what has come so far. As upstream_begin(). */
enum upstream_next upstream_feed(upstream_talk *talk, char *buffer, uint32_t *length);

/** What a failure means, for people. */
const char *upstream_failure_text(enum upstream_failure failure);

#endif
