/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The parts of JSON that printf does not provide: untrusted strings, and times. */
#include "json.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <windows.h>

enum { STRING_UNITS = 2048, LONGEST = 7 }; /* one character as \uXXXX and a NUL */

void json_string(char *out, size_t size, const wchar_t *text)
{
    if (!*text) {
        snprintf(out, size, "null");
        return;
    }
    char *end = out, *limit = out + size - 2; /* room for the last quote */
    *end++ = '"';
    while (*text && end + LONGEST <= limit) {
        wchar_t units[3] = {*text++};
        if (units[0] == L'"' || units[0] == L'\\' || text_is_hostile(units[0])) {
            end += snprintf(end, LONGEST, "\\u%04x", (unsigned)units[0]);
            continue;
        }
        if (IS_SURROGATE_PAIR(units[0], *text)) {
            units[1] = *text++;
        }
        text_copy_utf8(end, 5, units);
        end += strlen(end);
    }
    *end++ = '"';
    *end = '\0';
}

void json_string_utf8(char *out, size_t size, const char *text)
{
    wchar_t wide[STRING_UNITS];
    int bytes = (int)strnlen(text, STRING_UNITS - 1);
    int units = bytes ? MultiByteToWideChar(CP_UTF8, 0, text, bytes, wide, STRING_UNITS - 1) : 0;
    wide[units] = L'\0';
    json_string(out, size, wide);
}

void json_time(char out[JSON_TIME_MAX], uint64_t filetime)
{
    FILETIME time = {.dwLowDateTime = (DWORD)filetime, .dwHighDateTime = (DWORD)(filetime >> 32)};
    SYSTEMTIME t = {0};
    FileTimeToSystemTime(&time, &t);
    snprintf(out, JSON_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", t.wYear % 10000u, t.wMonth % 100u,
             t.wDay % 100u, t.wHour % 100u, t.wMinute % 100u, t.wSecond % 100u, t.wMilliseconds % 1000u);
}
