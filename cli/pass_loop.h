/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pass_loop.h
 * The bare loop: receives packets from the driver and sends them back, and does nothing else. It is the least that any
 * program with WinDivert costs, and the baseline of the benchmarks (redirector bench, and bench/ in the lab).
 */
#ifndef CLI_PASS_LOOP_H
#define CLI_PASS_LOOP_H

#include <stdint.h>
#include <windows.h>

struct pass_loop;

struct pass_loop_counts {
    uint64_t packets, batches, send_errors;
};

/** Loads WinDivert.dll from this full path, opens a packet handle with the filter, and starts the thread that passes.
 * NULL: GetLastError() says why. */
struct pass_loop *pass_loop_open(const wchar_t *dll, const char *filter);

/** Passes what is queued, and closes. `counts` may be NULL. */
void pass_loop_close(struct pass_loop *loop, struct pass_loop_counts *counts);

#endif
