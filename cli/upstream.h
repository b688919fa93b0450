/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file upstream.h
 * Proxies that the relay connects through: which connection uses which, and their protocols.
 */
#ifndef CLI_UPSTREAM_H
#define CLI_UPSTREAM_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    UPSTREAM_RULES_MAX = 64,
    UPSTREAM_MESSAGE_MAX = 16384, /**< longest message of either side */
};

typedef enum upstream_kind { UPSTREAM_DIRECT, UPSTREAM_SOCKS5, UPSTREAM_HTTP } upstream_kind;

/** One proxy, or none at all (UPSTREAM_DIRECT). */
typedef struct upstream {
    upstream_kind kind;
    char whom[256]; /**< pattern of the connections that use it; empty: all */
    char host[256]; /**< as given */
    char name[300]; /**< for people, "socks5://host:port"; never with a password */
    uint32_t port;
    redirector_address address; /**< after upstream_resolve() */
    char user[256], password[256];
} upstream;

typedef struct upstream_list {
    upstream entries[UPSTREAM_RULES_MAX];
    uint32_t count;
} upstream_list;

/** Reads "[WHOM=]URL" and appends it. NULL, or what is wrong with it. */
const char *upstream_add(upstream_list *list, const char *text);

/** Finds the addresses of all. NULL, or the name of the one that has none. Blocks. */
const char *upstream_resolve(upstream_list *list);

/** The one for a connection: the last whose pattern matches its program or its destination; NULL: direct. */
const upstream *upstream_choose(const upstream_list *list, const char *program, const redirector_address *destination);

/** The protocol with a proxy that makes it connect to a destination. Without I/O: the caller moves the bytes. */
typedef struct upstream_talk {
    const upstream *to;
    const redirector_address *destination; /**< NULL: only as far as the login, as a check */
    enum { TALK_GREETING, TALK_LOGIN, TALK_REQUEST } step;
    enum upstream_failure {
        UPSTREAM_OK,
        UPSTREAM_NOT_A_PROXY, /**< it uses another protocol, or closes */
        UPSTREAM_NO_LOGIN,    /**< it rejects user and password, or wants some and there are none */
        UPSTREAM_FORBIDS,     /**< it may not go there */
        UPSTREAM_NO_WAY,      /**< it has no route, or the destination does not answer */
        UPSTREAM_REFUSED,     /**< the destination refuses */
    } failure;
} upstream_talk;

typedef enum upstream_next {
    UPSTREAM_SEND,    /**< send what is in the buffer, then receive */
    UPSTREAM_RECEIVE, /**< the message is not complete: receive more behind it */
    UPSTREAM_DONE,    /**< connected; what is left in the buffer is the destination's */
    UPSTREAM_FAILED,  /**< see `failure` */
} upstream_next;

/** Begins; never UPSTREAM_RECEIVE. `buffer` holds UPSTREAM_MESSAGE_MAX bytes, *length of them used. */
upstream_next upstream_begin(upstream_talk *talk, char *buffer, uint32_t *length);

/** Takes what has come so far. As upstream_begin(). */
upstream_next upstream_feed(upstream_talk *talk, char *buffer, uint32_t *length);

/** What a failure means, for people. */
const char *upstream_failure_text(enum upstream_failure failure);

/** Connects to each proxy and logs in. True: all work. False: a message was shown. Blocks. */
bool upstream_try_all(const upstream_list *list);

#endif
