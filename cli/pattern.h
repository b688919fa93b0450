/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pattern.h
 * Wildcards: '*' any characters, '?' one; ASCII letters match in either case, slashes in either direction.
 */
#ifndef CLI_PATTERN_H
#define CLI_PATTERN_H

#include <stdbool.h>

/** Whether the whole of `text` matches. Both UTF-8. */
bool pattern_matches(const char *pattern, const char *text);

/** Of a pattern for programs: with a slash in it it means the full path, else the file name, as in the library. */
bool pattern_matches_program(const char *pattern, const char *path);

/** The file name that a path ends with. */
const char *pattern_file_name(const char *path);

#endif
