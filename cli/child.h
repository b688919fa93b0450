/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file child.h
 * The program that redirector starts: found, started suspended, resumed.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

struct child {
    wchar_t *path;  /**< full path of the program */
    HANDLE process; /**< NULL: not started */
    HANDLE thread;
    DWORD pid;
    bool resumed; /**< it has run */
};

/** Finds the program `name`. On failure shows a message and returns the exit status; 0 when found. */
DWORD child_find(struct child *c, const wchar_t *name);

/** Whether the program writes to this terminal: not if it has windows, or if its output is redirected. */
bool child_writes_here(const struct child *c);

/** Starts the found program with `line` as its command line, suspended. As child_find(). */
DWORD child_start(struct child *c, const wchar_t *line);

/** Resumes it. False: Windows refuses. */
bool child_resume(struct child *c);

/** Ends a program that was never resumed. */
void child_discard(struct child *c);

/** Closes what is open; the program itself goes on. */
void child_close(struct child *c);

/** The part after the first argument "--" of a command line, as typed; NULL: there is none. */
const wchar_t *child_command_line(const wchar_t *own);

#endif
