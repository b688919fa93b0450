/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pattern.h
 * Patterns of names: `*` stands for any characters, `?` for one; letters match in either case (ASCII).
 */
#ifndef ENGINE_PATTERN_H
#define ENGINE_PATTERN_H

#include <stdbool.h>

enum { PATTERN_MAX = 512 }; /* bytes */

/** Whether a whole text matches. It costs the product of both lengths at most. Slashes match in either direction. */
bool pattern_matches(const char *pattern, const char *text);

/** Whether the image of a process matches: with a slash or backslash in the pattern its path, else its file name. */
bool pattern_matches_program(const char *pattern, const char *path);

#endif
