/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file ps.h
 * The command "ps".
 */
#ifndef CLI_PS_H
#define CLI_PS_H

#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

/** Takes what follows "ps" on the command line (ends with NULL); returns the exit status. */
DWORD ps_command(wchar_t **arguments);

#endif
