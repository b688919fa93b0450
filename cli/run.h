/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file run.h
 * The commands "run" and "attach". Each takes what follows it on the command line (ends with NULL) and returns the exit
 * status.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

DWORD run_command(wchar_t **arguments);
DWORD attach_command(wchar_t **arguments);

#endif
