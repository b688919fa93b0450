/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file json.h
 * Strings and times in JSON.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

enum { JSON_TIME_MAX = 32 };

/** A JSON string with its quotes, truncated to fit; null for an empty one. Control characters are escaped, so that no
 * information is lost and none reaches a terminal. */
void json_string(char *out, size_t size, const wchar_t *text);

/** The same of UTF-8. */
void json_string_utf8(char *out, size_t size, const char *text);

/** "2024-05-06T07:08:09.123Z" of a FILETIME, without quotes. */
void json_time(char out[JSON_TIME_MAX], uint64_t filetime);

#endif
