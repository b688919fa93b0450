/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file options.h
 * The command line, and what --help says about it.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

/** Exit statuses of our own; every other one is the started program's. */
enum exit_status {
    EXIT_USAGE = 2,
    EXIT_NOT_REDIRECTING = 3,
    EXIT_CANNOT_RUN = 126,
    EXIT_NOT_FOUND = 127,
};
#define EXIT_INTERRUPTED 0xC000013Au /* what Windows itself gives a program that Ctrl-C ended */

typedef struct run_options {
    bool json;
    uint32_t log_level;  /**< redirector_log_level */
    char *windivert_dir; /**< UTF-8, absolute; NULL: not given */
    char *log_path;      /**< UTF-8; NULL: not given */
    wchar_t **program;   /**< the program and its arguments; ends with NULL; points into argv */
} run_options;

typedef enum options_result {
    OPTIONS_OK,
    OPTIONS_HELP,
    OPTIONS_WRONG, /**< the user has been told why */
} options_result;

extern const char options_help[];

/** Reads what follows "run". `argv` ends with NULL. Call options_free() whatever the result. */
options_result options_read_run(wchar_t **argv, run_options *options);

void options_free(run_options *options);

#endif
