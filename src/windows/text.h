/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file text.h
 * Conversion of text and paths: UTF-8 in this library, UTF-16 for Windows, paths of up to 32767 characters.
 *
 * What is allocated here is freed with free(). Functions that return NULL leave a code in GetLastError().
 */
#ifndef WINDOWS_TEXT_H
#define WINDOWS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

enum { PATH_CHARS_MAX = 32768 }; /* longest path Windows knows, with its NUL */

/** UTF-8 to UTF-16. NULL: no memory, or not UTF-8. */
wchar_t *text_to_wide(const char *utf8);

/** UTF-16 to UTF-8, cut at a character's border to fit; a lone surrogate becomes U+FFFD. Returns the length. */
size_t text_from_wide(const wchar_t *wide, char *out, size_t size);

/**
 * Makes text safe for a line on a terminal, in place: control characters and those that change the direction of writing
 * become '?', and a truncated character at the end is removed. Process names and paths are not trusted.
 */
void text_clean(char *utf8);

/** Whether a path names its drive or server, and so does not depend on a current folder. */
bool path_is_absolute(const wchar_t *path);

/** The full form of a path: current folder and ".." resolved, "\\?\" in front when it is long. */
wchar_t *path_full(const wchar_t *path);

/** folder + "\" + name. */
wchar_t *path_join(const wchar_t *folder, const wchar_t *name);

/** Folder of the running program, without a trailing "\". */
wchar_t *path_program_folder(void);

/** A file of the system folder (System32), by absolute path. */
wchar_t *path_system_file(const wchar_t *name);

#endif
