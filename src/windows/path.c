/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every path is made absolute once, when it is passed in, so that a later change of the current
 * folder or of the search path cannot change which file it names (S7).
 */
#include "windows/text.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

static bool is_separator(wchar_t c)
{
    return c == L'\\' || c == L'/';
}

bool path_is_absolute(const wchar_t *path)
{
    if (is_separator(path[0])) {
        return is_separator(path[1]); /* \\server\share, \\?\...; a single one means "of the current drive" */
    }
    return path[0] && path[1] == L':' && is_separator(path[2]);
}

static wchar_t *concatenate(const wchar_t *a, const wchar_t *b, const wchar_t *c)
{
    wchar_t *whole = malloc((wcslen(a) + wcslen(b) + wcslen(c) + 1) * sizeof *whole);
    if (!whole) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    wcscpy(whole, a);
    wcscat(whole, b);
    wcscat(whole, c);
    return whole;
}

wchar_t *path_join(const wchar_t *folder, const wchar_t *name)
{
    size_t length = wcslen(folder);
    return concatenate(folder, length && is_separator(folder[length - 1]) ? L"" : L"\\", name);
}

wchar_t *path_full(const wchar_t *path)
{
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    if (size == 0) {
        return NULL;
    }
    wchar_t *full = malloc(size * sizeof *full);
    if (!full) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    DWORD length = GetFullPathNameW(path, size, full, NULL);
    if (length == 0 || length >= size) { /* the current folder changed in between */
        free(full);
        return NULL;
    }
    /* 12 less than MAX_PATH: also room for the ".1" of a rotated log */
    if (length < MAX_PATH - 12 || wcsncmp(full, L"\\\\?\\", 4) == 0) {
        return full;
    }
    bool server = wcsncmp(full, L"\\\\", 2) == 0;
    wchar_t *extended = concatenate(server ? L"\\\\?\\UNC" : L"\\\\?\\", server ? full + 1 : full, L"");
    free(full);
    return extended;
}

wchar_t *path_program_folder(void)
{
    wchar_t *path = malloc(PATH_CHARS_MAX * sizeof *path);
    if (!path) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    DWORD length = GetModuleFileNameW(NULL, path, PATH_CHARS_MAX);
    wchar_t *end = length ? wcsrchr(path, L'\\') : NULL;
    if (!end) {
        free(path);
        return NULL;
    }
    *end = 0;
    return path;
}

wchar_t *path_system_file(const wchar_t *name)
{
    wchar_t folder[MAX_PATH];
    UINT length = GetSystemDirectoryW(folder, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) {
        return NULL;
    }
    return path_join(folder, name);
}
