/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file control.h
 * The channel by which a running redirector answers "redirector flows" and "redirector stats".
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "report.h"
#include "windows_redirector.h"

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

enum { CONTROL_REQUEST_MAX = 32, CONTROL_NAME_MAX = 64 };

struct control;

/** Name of the channel of the redirector with that process id. */
void control_name(wchar_t out[CONTROL_NAME_MAX], uint32_t pid);

/** Begins to answer. NULL: it cannot; redirecting goes on without. */
struct control *control_start(struct report *report, redirector *r);

/** NULL is fine. */
void control_stop(struct control *c);

/** control_answer.c: the answer to a request ("flows json", "flows text", "stats json", "stats text"), lines of UTF-8
 * that the caller frees; NULL: not understood, or no memory. */
char *control_answer(const char *request, struct report *report, redirector *r);

/** query.c: the commands "flows" and "stats". */
DWORD flows_command(wchar_t **arguments);
DWORD stats_command(wchar_t **arguments);

#endif
