/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file log_file.h
 * The log's file: opened with suspicion, appended to, rotated. Used by the log's thread only.
 */
#ifndef LOG_FILE_H
#define LOG_FILE_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>

struct log_file;

/**
 * Opens the file at `path` (UTF-8; relative: of the current folder, for good). NULL: *error.
 *
 * @param only_a_log  a file that has something else in it than log lines is refused
 */
struct log_file *log_file_open(const char *path, bool only_a_log, redirector_error *error);

void log_file_close(struct log_file *file);

/** Appends whole lines; rotates first when the file has reached LOG_FILE_MAX. false: not all of it was written. */
bool log_file_write(struct log_file *file, const char *lines, size_t bytes);

#endif
