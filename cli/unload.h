/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file unload.h
 * The command "unload": the driver that redirector loaded goes, so that its file can.
 */
#ifndef CLI_UNLOAD_H
#define CLI_UNLOAD_H

#include <wchar.h>
#include <windows.h>

/** Takes what follows "unload" on the command line, which is nothing; returns the exit status. */
DWORD unload_command(wchar_t **arguments);

#endif
