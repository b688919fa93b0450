/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_conn.h
 * One relayed connection, and what it needs of its relay. Everything here runs on the relay's one thread.
 */
#ifndef CLI_RELAY_CONN_H
#define CLI_RELAY_CONN_H

#include "report.h"
#include "upstream.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>

struct relay_conn;

enum relay_op_kind { RELAY_ACCEPT, RELAY_CONNECT, RELAY_RECV, RELAY_SEND };

/** An overlapped operation; what the completion port hands back. */
struct relay_op {
    OVERLAPPED overlapped;
    enum relay_op_kind kind;
    bool pending;
    SOCKET socket; /**< where it runs; stays set to learn the error of a finished one */
    void *owner;   /**< the relay_accept or the relay_conn */
};

/** The part of its relay that a connection uses. */
struct relay_host {
    HANDLE port; /**< the completion port */
    struct report *report;
    const struct upstream_list *upstreams;
    LPFN_CONNECTEX connect_ex[2]; /**< IPv4, IPv6; NULL: the machine has no such family */
    struct relay_conn *first;     /**< all live connections */
};

/** Takes over `client`, a connection from `peer`, and connects to `destination`. Owns the socket whatever happens. */
void relay_conn_open(struct relay_host *host, SOCKET client, const redirector_address *peer,
                     const redirector_destination *destination);

/** One of its operations is over: `error` is a Winsock error or 0. May free the connection. */
void relay_conn_complete(struct relay_conn *conn, struct relay_op *op, DWORD bytes, DWORD error);

/** Resets both ends of every connection. Each is gone once its last operation has completed. */
void relay_conn_stop_all(struct relay_host *host);

/** A TCP socket for overlapped use that no child inherits. INVALID_SOCKET: see WSAGetLastError(). */
SOCKET relay_socket(int family);

/** Closes with RST instead of FIN. */
void relay_reset(SOCKET socket);

#endif
