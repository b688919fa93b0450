/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file control.h
 * The channel by which a running redirector answers "redirector flows", "redirector stats" and "redirector rules".
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "report.h"
#include "route_option.h"
#include "rules_state.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

enum {
    CONTROL_LINE_MAX = 32, /**< the first line of a request, or all of it */
    CONTROL_NAME_MAX = 64,
};

struct control;

/** Name of the channel of the redirector with that process id. */
void control_name(wchar_t out[CONTROL_NAME_MAX], uint32_t pid);

/** What is asked about. */
struct control_subject {
    struct report *report;
    redirector *redirector;
    struct rules_state *rules;
    const struct route_options *upstreams;
};

/** Begins to answer. What `about` has must outlive it. NULL: it cannot; redirecting goes on without. */
struct control *control_start(const struct control_subject *about);

/** NULL is fine. */
void control_stop(struct control *c);

/** Text that grows line by line; NULL once memory was exhausted. */
struct control_lines {
    char *text;
    size_t used, room;
};

void control_add(struct control_lines *l, const char *line);

/**
 * control_answer.c: the answer to a request, lines of UTF-8 that the caller frees; NULL: no memory. Empty: not
 * understood. Requests are "flows json", "stats text" and so on, and those of control_rules.c; the ones with data have a
 * first line that ends with its size, "rules set 1234", and the data behind it. `request` ends with NUL; it is hostile.
 */
char *control_answer(const char *request, size_t size, const struct control_subject *about);

/** control_rules.c: the same for what begins with "rules ". The first line is "good" or "wrong". */
void control_rules(struct control_lines *l, const char *request, size_t size, const struct control_subject *about);

/**
 * query.c: puts a request to the redirector with this id, 0: to the first that answers, or where it must be the `only`
 * one to that. Its answer, to be freed; NULL: a message was shown.
 */
char *control_ask(uint32_t pid, bool only, const char *request, size_t size);

/** Line by line, to standard output. The text is changed. */
void control_show(char *answer);

/** query.c: the commands "flows" and "stats". */
DWORD flows_command(wchar_t **arguments);
DWORD stats_command(wchar_t **arguments);

#endif
