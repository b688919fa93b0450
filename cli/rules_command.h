/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rules_command.h  The commands about files of rules: each takes the arguments behind its name. */
#ifndef CLI_RULES_COMMAND_H
#define CLI_RULES_COMMAND_H

#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

/** check [--json] FILE: is it right? With --json also what it says. */
DWORD check_command(wchar_t **arguments);

/** import FILE: a profile of Proxifier as rules, to standard output. */
DWORD import_command(wchar_t **arguments);

/** explain [--rules FILE] [--upstream [WHOM=]WAYS]... [--udp] [--incoming] [--host NAME] [--stranger] [--json] PROGRAM ADDRESS:PORT */
DWORD explain_command(wchar_t **arguments);

/** rules list | set FILE | test PROGRAM ADDRESS:PORT: of a running redirector. */
DWORD rules_command(wchar_t **arguments);

#endif
