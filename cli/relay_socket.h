/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_socket.h
 * Sockets for a completion port, and the operations on them.
 */
#ifndef CLI_RELAY_SOCKET_H
#define CLI_RELAY_SOCKET_H

#include <stdbool.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>

enum relay_op_kind { RELAY_ASKED, RELAY_ACCEPT, RELAY_DIAL, RELAY_RECV, RELAY_SEND, RELAY_PEERS, RELAY_SESSION };

/** An overlapped operation; what the completion port hands back. */
struct relay_op {
    OVERLAPPED overlapped;
    enum relay_op_kind kind;
    bool pending;
    SOCKET socket; /**< where it runs; stays set to learn the error of a finished one */
    void *owner;   /**< the relay_question, relay_accept, dial, relay_conn, relay_udp or udp_session */
};

/** Takes what starting an operation has returned. 0: it is pending; else the Winsock error with which it did not start.
 */
DWORD relay_op_started(struct relay_op *op, bool accepted);

/** The result of an operation that the port has handed back: the bytes, and 0 or a Winsock error in *error. */
DWORD relay_op_result(struct relay_op *op, const OVERLAPPED_ENTRY *entry, DWORD *error);

/** A TCP socket for overlapped use that no child inherits. INVALID_SOCKET: see WSAGetLastError(). */
SOCKET relay_socket(int family);

/** The same for UDP. No call on it waits; `buffer`: bytes that the system keeps for it until they are received. */
SOCKET relay_datagram_socket(int family, int buffer);

/** What both legs of a relayed connection are set to: nothing waits, no delay, keep-alive, urgent data in its place. */
void relay_set_up_socket(SOCKET s);

/** Closes with RST instead of FIN. INVALID_SOCKET is fine. */
void relay_reset(SOCKET s);

/** Finds an extension function of Winsock by means of any TCP socket. False: see WSAGetLastError(). */
bool relay_extension(SOCKET s, GUID id, void *function);

#endif
