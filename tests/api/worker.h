/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file worker.h
 * Processes that make connections on request, and servers that say who they are.
 *
 * A worker is this very program, api_test.exe, with the argument "worker". It answers each line of its input with one
 * line:
 *
 *   pid                    its process id
 *   dial ADDRESS PORT      connects and keeps the connection; "X LOCAL_PORT", X being the server's word; or "error N"
 *   send N                 sends N bytes on the connection made last, and waits until the server has told that it got
 *                          them all; "sent"
 *   close                  closes all its connections; "closed"
 *   listen ADDRESS         listens on a free port there; the port. Says "L" to whoever comes
 *   child LINE             has a worker of its own (one, made at the first time) do that
 *   end                    ends it (and its child)
 */
#ifndef TESTS_API_WORKER_H
#define TESTS_API_WORKER_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

struct worker {
    HANDLE process;
    FILE *to, *from;
    DWORD pid;
};

/** Runs a worker until its input ends. */
int worker_main(void);

/** Connects once. 7: the server's word was "W"; else 1. */
int worker_visit(const char *address, const char *port);

/** Starts one; exits with a message if it cannot be had. */
struct worker worker_start(void);

/** Starts any program that lies beside this one, with its standard input and output here. */
struct worker worker_start_program(const char *command);

/** The next line that it prints, without the line end, in static memory. */
const char *worker_line(struct worker *w);

/** Has a line done; its answer, likewise. */
const char *worker_do(struct worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

void worker_end(struct worker *w);

/** "10.77.0.1" or "fd77::1" and a port; the length of the address. */
int address_of(const char *text, int port, struct sockaddr_storage *out);

/** A server on the address and port (0: a free one): says one character and reads what comes. The port. */
struct server {
    SOCKET listener;
    char word;
    void (*met)(SOCKET connection); /* called for each connection before the word is said; or NULL */
};
int server_start(struct server *s, const char *address, int port);

#endif
