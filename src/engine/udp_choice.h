/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file udp_choice.h  What is to become of a datagram of no flow. */
#ifndef ENGINE_UDP_CHOICE_H
#define ENGINE_UDP_CHOICE_H

#include "udp_sockets.h"

enum udp_choice {
    CHOOSE_PASS,
    CHOOSE_DROP,
    CHOOSE_BLOCK, /* a rule says so */
    CHOOSE_REDIRECT,
    CHOOSE_DIRECT,
    CHOOSE_NO_PROXY,
    WAIT_FOR_OWNER, /* who has sent it? */
    WAIT_FOR_PROXY, /* does somebody receive at the proxy's port? */
};

/** *owner: who has sent it, where that mattered. */
enum udp_choice udp_choice_of(struct engine *e, const struct tuple *t, const struct arrival *a,
                              struct udp_owner *owner);

#endif
