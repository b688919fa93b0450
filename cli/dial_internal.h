/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file dial_internal.h  What the files of a dial share: dial.c connects, dial_talk.c speaks with proxies. */
#ifndef CLI_DIAL_INTERNAL_H
#define CLI_DIAL_INTERNAL_H

#include "dial.h"

struct attempt {
    struct relay_op op;
    SOCKET socket;
};

struct dial {
    struct dialler *dialler;
    struct dial *next, *previous;
    struct dial_plan plan;
    ULONGLONG deadline;
    ULONGLONG next_at; /* when the next address is due */
    uint32_t tried;    /* addresses that have been begun with */
    DWORD error;       /* why the last one failed */
    struct attempt attempts[UPSTREAM_ADDRESSES_MAX];
    SOCKET socket; /* connected, and talking with the upstream */
    struct relay_op op;
    bool sending;
    bool over;
    const redirector_address *proxy; /* of a dial for datagrams: the one that is connected */
    upstream_talk talk;              /* first with plan.over, if there is one, then with plan.via */
    uint32_t length, sent;           /* of the buffer: bytes in it, and passed on */
    char buffer[];                   /* UPSTREAM_MESSAGE_MAX where there is an upstream */
};

/* dial.c: the result; afterwards the dial is over. */
void dial_fail(struct dial *d, enum upstream_failure failure, DWORD error);
void dial_succeed(struct dial *d);

/* dial_talk.c: the proxy at this address is connected; one of the talk's operations is over. */
void dial_begin_talk(struct dial *d, const redirector_address *proxy);
void dial_on_talk(struct dial *d, DWORD bytes, DWORD error);

#endif
