/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_listen.h
 * Sockets on which the relay waits for programs: one port, both families.
 */
#ifndef CLI_RELAY_LISTEN_H
#define CLI_RELAY_LISTEN_H

#include "relay_socket.h"

#include <stdint.h>

struct relay_listener {
    SOCKET socket; /**< invalid: the machine has no such family, or nothing is wanted in this direction */
    int family;
    bool datagrams; /**< UDP */
    LPFN_ACCEPTEX accept_ex;
};

/**
 * Listens with pair[0] on IPv4 and pair[1] on IPv6, on one and the same port.
 *
 * @param port        in: the wanted one, or 0; out: the port
 * @param everywhere  on all addresses; else on loopback alone
 * @return 0, or the Winsock or Windows error
 */
DWORD relay_listen(struct relay_listener pair[2], uint16_t *port, bool everywhere, HANDLE completion_port);

/** The same for UDP, on loopback. Their programs come and go: that one has gone is no error of these sockets. */
DWORD relay_receive_datagrams(struct relay_listener pair[2], uint16_t *port, HANDLE completion_port);

void relay_listen_close(struct relay_listener *l);

#endif
