/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The listening sockets of the client, for the owners of the connections that they get.
 */
#ifndef LAB_LISTEN_H
#define LAB_LISTEN_H

#include "events.h"

/* A LISTEN has happened. */
void listen_add(const struct sock_event *ev);

/* A socket has been closed, a listener or not. */
void listen_remove(uint64_t cookie);

/* Gives an ACCEPT the process and the endpoint of the most specific listener. */
void listen_owner(struct sock_event *ev);

#endif
