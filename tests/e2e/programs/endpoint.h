/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file endpoint.h  The commands that make, use and end connections, and those that start processes. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "actor.h"

extern const struct command_entry endpoint_commands[];

/** Commands of burst.c, datagram.c, serve.c, process.c and upstream.c, which stand in that table too. */
void command_datagram(const struct command *c, struct json *answer);
void command_redirect_datagram(const struct command *c, struct json *answer);
void command_tell_datagrams(const struct command *c, struct json *answer);
void command_hear(const struct command *c, struct json *answer);
void command_ask(const struct command *c, struct json *answer);
void command_tell_once(const struct command *c, struct json *answer);
void command_echoes(const struct command *c, struct json *answer);
void command_burst(const struct command *c, struct json *answer);
void command_serve(const struct command *c, struct json *answer);
void command_served(const struct command *c, struct json *answer);
void command_spawn(const struct command *c, struct json *answer);
void command_wait_exit(const struct command *c, struct json *answer);
void command_kill(const struct command *c, struct json *answer);
void command_upstream(const struct command *c, struct json *answer);
void serve_close_all(void);

/** The socket of a number. Each has one user at a time, except that anybody may end it. */
SOCKET endpoint_socket(const struct command *c, const char *key);
void endpoint_remember(const struct command *c, SOCKET s);

/** A socket of this type bound to `at`, as the command wants it; INVALID_SOCKET: see WSAGetLastError(). */
SOCKET endpoint_bound(const struct command *c, int type);

/** A listening socket; INVALID_SOCKET with the answer saying why. Port 0: one that is free. */
SOCKET endpoint_listen(const struct command *c, struct json *answer);

/** Sends all; false: the connection broke. */
bool endpoint_send_all(SOCKET s, const char *data, int length);

/** Receives just so many bytes; false: the connection ended or broke before. */
bool endpoint_receive_all(SOCKET s, char *out, int length);

/** recv() that tells a reset from an orderly end also under Wine, as long as this side has not shut down itself. */
int endpoint_receive(SOCKET s, char *out, int length, bool shut_down);

/** Ends a connection by RST. */
void endpoint_reset(SOCKET s);

/** Adds "local" and "peer". */
void endpoint_names(SOCKET s, struct json *answer);

#endif
