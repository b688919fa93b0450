/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file tcp_rows.h
 * The TCP sockets of this machine, and whose they are.
 */
#ifndef CLI_TCP_ROWS_H
#define CLI_TCP_ROWS_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_row {
    redirector_address local, remote; /**< remote: of a listener it means nothing */
    uint32_t pid;                     /**< 0: nobody's (TIME_WAIT), or not known */
    bool listens;
};

struct tcp_rows {
    struct tcp_row *rows;
    size_t count;
};

/** Both families. Without memory, or where Windows refuses, rows are missing. To be freed by tcp_rows_free(). */
void tcp_rows_read(struct tcp_rows *rows);

void tcp_rows_free(struct tcp_rows *rows);

/** Whether something listens on this port. */
bool tcp_rows_listen(const struct tcp_rows *rows, uint32_t port);

/** Owner of the socket on this machine that is the other end of a connection from `from` to `to`; 0: none. */
uint32_t tcp_rows_far_end(const struct tcp_rows *rows, const redirector_address *from, const redirector_address *to);

#endif
