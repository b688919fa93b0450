/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Names from strangers: UTF-16 of any kind to bounded UTF-8, and into one harmless line of a log.
 *
 * Input: a byte for the size of the field, a byte for where text is cut, then UTF-16 units. What must hold: the result
 * fits, ends with NUL, is UTF-8 whatever came in, is cut between characters and no earlier than needed; a cleaned line
 * has no control character in it, C1 included, and stays UTF-8 even if a fixed-size buffer had cut it in two.
 */
#include "fuzz.h"

#include "windows/text.h"

#include <windows.h>

enum { INPUT_MAX = 4096, WHOLE_MAX = 32768 };

/* Strict: no overlong forms, no surrogates, nothing above U+10FFFF. Returns the bytes of one character; 0: none. */
static size_t character(const uint8_t *p, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = *p < 0x80 ? 1 : *p >= 0xc0 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 ? 4 : 0;
    if (bytes == 0 || *p > 0xf7) {
        return 0;
    }
    uint32_t c = bytes == 1 ? *p : *p & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *out = c;
    return c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : bytes;
}

static bool is_utf8(const char *text)
{
    uint32_t c;
    for (size_t bytes; *text; text += bytes) {
        bytes = character((const uint8_t *)text, &c);
        if (!bytes) {
            return false;
        }
    }
    return true;
}

/* As Windows': with a length of -1, the NUL counts. */
int MultiByteToWideChar(unsigned page, unsigned long flags, const char *text, int bytes, wchar_t *wide, int chars)
{
    MUST(page == CP_UTF8 && flags == MB_ERR_INVALID_CHARS && bytes == -1);
    int units = 0;
    if (!is_utf8(text)) {
        return 0;
    }
    for (uint32_t c = 1; c; text += c ? character((const uint8_t *)text, &c) : 0) {
        character((const uint8_t *)text, &c);
        for (int half = 0; half < (c > 0xffff ? 2 : 1); half++, units++) {
            if (wide) {
                uint32_t pair = half ? 0xdc00 + ((c - 0x10000) & 0x3ff) : 0xd800 + ((c - 0x10000) >> 10);
                MUST(units < chars);
                wide[units] = (wchar_t)(c > 0xffff ? pair : c);
            }
        }
    }
    return units;
}

void SetLastError(unsigned long code)
{
    (void)code;
}

static void check_from_wide(const wchar_t *wide, size_t size)
{
    char *out = malloc(size ? size : 1), *whole = malloc(WHOLE_MAX);
    MUST(out && whole);
    size_t length = text_from_wide(wide, out, size), all = text_from_wide(wide, whole, WHOLE_MAX);
    if (size) {
        MUST(length < size && strlen(out) == length && is_utf8(out));
        MUST(all >= length && !memcmp(out, whole, length));
        uint32_t c;
        MUST(all == length || length + character((const uint8_t *)whole + length, &c) >= size);
    }
    /* There and back: only lone surrogates are lost. */
    wchar_t *again = text_to_wide(whole);
    MUST(again);
    size_t i = 0;
    for (; wide[i]; i++) {
        MUST(again[i] == wide[i] || (again[i] == 0xfffd && wide[i] >= 0xd800 && wide[i] < 0xe000));
    }
    MUST(!again[i]);
    free(again);
    free(out);
    free(whole);
}

static bool is_clean(const char *text)
{
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)) {
            return false;
        }
    }
    /* NOLINTBEGIN(misc-misleading-bidirectional): they are what is looked for */
    static const char *const turning[] = {"\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b",
                                          "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"};
    /* NOLINTEND(misc-misleading-bidirectional) */
    for (size_t i = 0; i < sizeof turning / sizeof *turning; i++) {
        if (strstr(text, turning[i])) {
            return false;
        }
    }
    return true;
}

/* `cut`: how many bytes a fixed-size buffer had room for. */
static void check_clean(const char *text, size_t cut)
{
    size_t length = strlen(text);
    length = cut < length ? cut : length;
    bool good = is_utf8(text);
    char *line = (char *)exact_copy(text, length + 1);
    line[length] = 0;
    text_clean(line);
    MUST(is_clean(line) && strlen(line) <= length && strlen(line) + 3 >= length);
    MUST(!good || is_utf8(line));
    char *twice = (char *)exact_copy(line, strlen(line) + 1);
    text_clean(twice);
    MUST(!good || !strcmp(twice, line));
    free(twice);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) {
        return -1;
    }
    size_t units = (size - 2) / 2;
    wchar_t *wide = (wchar_t *)(void *)exact_copy(data + 2, 2 * units);
    wide = realloc(wide, (units + 1) * sizeof *wide);
    MUST(wide);
    wide[units] = 0;
    check_from_wide(wide, data[0]);

    char *text = malloc(WHOLE_MAX);
    MUST(text);
    text_from_wide(wide, text, WHOLE_MAX);
    check_clean(text, data[1]);
    char *raw = malloc(size - 1); /* bytes that are no UTF-8 at all */
    MUST(raw);
    memcpy(raw, data + 2, size - 2);
    raw[size - 2] = 0;
    check_clean(raw, data[1]);
    free(raw);
    free(text);
    free(wide);
    return 0;
}
