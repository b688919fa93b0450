/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file run.h
 * The command "run".
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <wchar.h>
#include <windows.h>

/** Takes what follows "run" on the command line (ends with NULL); returns the exit status. */
DWORD run_command(wchar_t **arguments);

#endif
