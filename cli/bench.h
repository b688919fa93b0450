/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file bench.h
 * The command "bench": what redirection costs on this machine.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <wchar.h>
#include <windows.h>

/** Takes what follows "bench" on the command line (ends with NULL); returns the exit status. */
DWORD bench_command(wchar_t **arguments);

#endif
