/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a line is written by one system call, so that lines of several writers (the started program
 * shares standard error with this one) do not mix. A console gets UTF-16, which it shows correctly with any code page;
 * a file or a pipe gets UTF-8. Control characters are replaced here, because all output passes through this file.
 */
#include "output.h"

#include "json.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

static bool write_wide(HANDLE handle, const wchar_t *wide)
{
    DWORD mode, written;
    if (GetConsoleMode(handle, &mode)) {
        return WriteConsoleW(handle, wide, (DWORD)wcslen(wide), &written, NULL);
    }
    char utf8[3 * OUTPUT_LINE_MAX + 3]; /* a UTF-16 unit takes at most 3 bytes */
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, sizeof utf8, NULL, NULL);
    return size > 1 && WriteFile(handle, utf8, (DWORD)size - 1, &written, NULL);
}

static bool write_line(DWORD where, const char *utf8)
{
    wchar_t wide[OUTPUT_LINE_MAX + 1];
    int size = (int)strnlen(utf8, OUTPUT_LINE_MAX - 1);
    int units = size ? MultiByteToWideChar(CP_UTF8, 0, utf8, size, wide, OUTPUT_LINE_MAX - 1) : 0;
    wide[units] = L'\0';
    text_defuse(wide);
    wide[units] = L'\n';
    wide[units + 1] = L'\0';
    return write_wide(GetStdHandle(where), wide);
}

bool output_write(const char *utf8)
{
    return write_line(STD_ERROR_HANDLE, utf8);
}

void output_line(const char *utf8)
{
    if (!output_enqueue(utf8)) {
        output_write(utf8);
    }
}

void output_result(const char *utf8)
{
    write_line(STD_OUTPUT_HANDLE, utf8);
}

static bool messages_as_json;

void output_messages_as_json(void)
{
    messages_as_json = true;
}

void output_message(const char *format, ...)
{
    char text[OUTPUT_LINE_MAX / 2], quoted[OUTPUT_LINE_MAX - 64], line[OUTPUT_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (messages_as_json) {
        json_string_utf8(quoted, sizeof quoted, text);
        snprintf(line, sizeof line, "{\"type\":\"message\",\"text\":%s}", quoted);
    } else {
        snprintf(line, sizeof line, "redirector: %s", text);
    }
    output_line(line);
}

void output_text(const char *utf8)
{
    DWORD written;
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), utf8, (DWORD)strlen(utf8), &written, NULL);
}
