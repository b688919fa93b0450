/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file text.h
 * Text of the program: UTF-16 for Windows, UTF-8 inside, no control characters to a terminal.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/** A UTF-8 copy of `wide` that the caller frees; NULL: no memory. Lone surrogates become U+FFFD. */
char *text_utf8(const wchar_t *wide);

/** The other way; NULL: no memory, or not UTF-8. */
wchar_t *text_wide(const char *utf8);

/** Writes `wide` as UTF-8 to `out`, cut at a character's border where it does not fit. Always ends with NUL. */
void text_copy_utf8(char *out, size_t size, const wchar_t *wide);

/** True for control characters, line separators and direction overrides. */
bool text_is_hostile(wchar_t unit);

/** Replaces each of these by U+FFFD. */
void text_defuse(wchar_t *wide);

/** The part of a path after its last separator. */
const wchar_t *text_base_name(const wchar_t *path);

/** File name of the program that process `pid` runs; empty if it is not readable. Truncated to `units`. */
void text_process_name(wchar_t *out, size_t units, uint32_t pid);

#endif
