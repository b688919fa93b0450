/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file bench_load.h
 * The two ends of the connections that "redirector bench" measures: a server in this process, a client in a child.
 */
#ifndef CLI_BENCH_LOAD_H
#define CLI_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>

enum bench_task { BENCH_UPLOAD = 'U', BENCH_DOWNLOAD = 'D', BENCH_CONNECT = 'C' };

struct bench_answer {
    uint64_t total_us;   /**< all of it */
    uint64_t connect_us; /**< median of the connect() calls */
};

struct bench_client {
    HANDLE process;
    DWORD pid;
    HANDLE to, from; /**< pipes */
};

/** Listens on 127.0.0.1, and serves until the process ends. 0: failed, GetLastError() says why. */
uint16_t bench_server_open(void);

/** A port of 127.0.0.1 that stays bound, and on which nothing listens. 0: failed. */
uint16_t bench_dead_port(void);

/** Starts this program again, as a client that waits for tasks. False: failed, GetLastError() says why. */
bool bench_client_start(struct bench_client *c);
void bench_client_end(struct bench_client *c);

/** Lets it send or receive `n` bytes over one connection to that port, or make `n` connections. False: it failed. */
bool bench_client_do(struct bench_client *c, enum bench_task task, uint16_t port, uint64_t n,
                     struct bench_answer *answer);

/** Runs the child: executes the tasks of standard input, answers on standard output, until the pipe ends. */
DWORD bench_client_main(void);

/** The word after "bench" that starts the child; not for users. */
#define BENCH_CLIENT_WORD L"--as-client"

#endif
