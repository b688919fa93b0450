/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: names of programs and files are untrusted: they may contain escape sequences for a terminal, or
 * direction overrides that make one name look like another. All of these are in the Basic Multilingual Plane, so that
 * UTF-16 units can be checked one by one.
 */
#include "text.h"

#include <stdlib.h>
#include <windows.h>

char *text_utf8(const wchar_t *wide)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    if (size <= 0) {
        return NULL;
    }
    char *utf8 = malloc((size_t)size);
    if (utf8 && WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, size, NULL, NULL) <= 0) {
        free(utf8);
        return NULL;
    }
    return utf8;
}

wchar_t *text_wide(const char *utf8)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, NULL, 0);
    wchar_t *wide = size > 0 ? malloc((size_t)size * sizeof *wide) : NULL;
    if (wide) {
        MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, size);
    }
    return wide;
}

static bool is_high_surrogate(wchar_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(wchar_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

void text_copy_utf8(char *out, size_t size, const wchar_t *wide)
{
    size_t used = 0;
    while (*wide) {
        int units = is_high_surrogate(wide[0]) && is_low_surrogate(wide[1]) ? 2 : 1;
        char bytes[4];
        int count = WideCharToMultiByte(CP_UTF8, 0, wide, units, bytes, sizeof bytes, NULL, NULL);
        if (count <= 0 || used + (size_t)count >= size) {
            break;
        }
        for (int i = 0; i < count; i++) {
            out[used++] = bytes[i];
        }
        wide += units;
    }
    out[used] = '\0';
}

bool text_is_hostile(wchar_t unit)
{
    return unit < 0x20 || (unit >= 0x7F && unit <= 0x9F)         /* C0, DEL, C1 */
           || unit == 0x061C || unit == 0x200E || unit == 0x200F /* direction marks */
           || (unit >= 0x2028 && unit <= 0x202E)                 /* line separators, direction overrides */
           || (unit >= 0x2066 && unit <= 0x2069);                /* direction isolates */
}

void text_defuse(wchar_t *wide)
{
    for (; *wide; wide++) {
        if (text_is_hostile(*wide)) {
            *wide = 0xFFFD;
        }
    }
}

const wchar_t *text_base_name(const wchar_t *path)
{
    const wchar_t *base = path;
    for (; *path; path++) {
        if (*path == L'\\' || *path == L'/') {
            base = path + 1;
        }
    }
    return base;
}

void text_process_name(wchar_t *out, size_t units, uint32_t pid)
{
    wchar_t path[1024];
    DWORD size = sizeof path / sizeof path[0];
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    *out = L'\0';
    if (!process) {
        return;
    }
    if (QueryFullProcessImageNameW(process, 0, path, &size)) {
        wcsncpy(out, text_base_name(path), units - 1);
        out[units - 1] = L'\0';
    }
    CloseHandle(process);
}
