/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the conversion to UTF-8 is implemented here because WideCharToMultiByte cannot truncate: it
 * fails when the result does not fit, and the outputs are bounded fields (an error text, a log line, a process name).
 */
#include "windows/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

wchar_t *text_to_wide(const char *utf8)
{
    int chars = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, NULL, 0);
    if (chars <= 0) {
        return NULL;
    }
    wchar_t *wide = malloc((size_t)chars * sizeof *wide);
    if (!wide) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, wide, chars);
    return wide;
}

/* Takes one character off the front of *wide. */
static uint32_t next_code_point(const wchar_t **wide)
{
    uint32_t c = *(*wide)++;
    if (c < 0xd800 || c > 0xdfff) {
        return c;
    }
    uint32_t low = **wide;
    if (c > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return 0xfffd;
    }
    (*wide)++;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

size_t text_from_wide(const wchar_t *wide, char *out, size_t size)
{
    size_t length = 0;
    while (size && *wide) {
        uint32_t c = next_code_point(&wide);
        size_t bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (length + bytes >= size) {
            break;
        }
        static const uint8_t lead[5] = {0, 0x00, 0xc0, 0xe0, 0xf0};
        for (size_t i = bytes; i-- > 1; c >>= 6) {
            out[length + i] = (char)(0x80 | (c & 0x3f));
        }
        out[length] = (char)(lead[bytes] | c);
        length += bytes;
    }
    if (size) {
        out[length] = 0;
    }
    return length;
}

/* Removes a character at the end that was truncated by a fixed-size buffer. */
static void drop_partial_character(char *utf8)
{
    size_t length = strlen(utf8);
    size_t tail = 0;
    while (tail < 4 && tail < length && ((uint8_t)utf8[length - 1 - tail] & 0xc0) == 0x80) {
        tail++;
    }
    if (tail == length) {
        return;
    }
    uint8_t lead = (uint8_t)utf8[length - 1 - tail];
    size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (tail < wanted) {
        utf8[length - 1 - tail] = 0;
    }
}

/* Length of the character at `p` if it is a control character for a terminal; else 0. */
static size_t control_bytes(const uint8_t *p)
{
    if (p[0] < 0x20 || p[0] == 0x7f) {
        return 1;
    }
    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
        return 2; /* C1: control characters for some terminals */
    }
    if (p[0] == 0xd8 && p[1] == 0x9c) {
        return 2; /* U+061C, a direction mark */
    }
    if (p[0] == 0xe2 && p[1] == 0x80 && ((p[2] >= 0xa8 && p[2] <= 0xae) || p[2] == 0x8e || p[2] == 0x8f)) {
        return 3; /* U+2028 to U+202E, line ends and direction overrides; U+200E, U+200F, direction marks */
    }
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9) {
        return 3; /* U+2066 to U+2069, direction isolates */
    }
    return 0;
}

void text_clean(char *utf8)
{
    drop_partial_character(utf8);
    for (uint8_t *p = (uint8_t *)utf8; *p;) {
        size_t bytes = control_bytes(p);
        memset(p, '?', bytes);
        p += bytes ? bytes : 1;
    }
}
