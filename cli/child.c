/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The child. A Windows process gets one string, not a list of arguments; the C runtime inside the program takes it
 * apart again. child_command_line() is the inverse of that taking apart. The search is done here, and not left to
 * CreateProcess, to tell "not found" from "cannot be started", and to see a batch file before Windows hands it to
 * cmd.exe, whose quoting rules are others: there an argument could become a command.
 */
#include "child.h"

#include "options.h"
#include "output.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static wchar_t *search(const wchar_t *name, const wchar_t *extension)
{
    DWORD size = SearchPathW(NULL, name, extension, 0, NULL, NULL);
    wchar_t *path = size ? malloc(size * sizeof *path) : NULL;
    if (!path)
        return NULL;
    DWORD length = SearchPathW(NULL, name, extension, size, path, NULL);
    DWORD attributes = length && length < size ? GetFileAttributesW(path) : INVALID_FILE_ATTRIBUTES;
    if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_DIRECTORY)) {
        free(path);
        return NULL;
    }
    return path;
}

/* SearchPath adds an extension only to names without a dot, but "python3.11" is a program too. */
static wchar_t *search_with_exe_added(const wchar_t *name)
{
    static const wchar_t exe[] = L".exe";
    size_t length = wcslen(name);
    wchar_t *longer = malloc(length * sizeof *longer + sizeof exe);
    if (!longer)
        return NULL;
    memcpy(longer, name, length * sizeof *name);
    memcpy(longer + length, exe, sizeof exe);
    wchar_t *path = search(longer, NULL);
    free(longer);
    return path;
}

static bool has_extension(const wchar_t *path, const wchar_t *extension)
{
    size_t length = wcslen(path), extension_length = wcslen(extension);
    return length > extension_length && _wcsicmp(path + length - extension_length, extension) == 0;
}

DWORD child_find(child *c, const wchar_t *name)
{
    char shown[512];
    *c = (child){0};
    text_copy_utf8(shown, sizeof shown, name);
    if (*name)
        c->path = search(name, L".exe");
    if (*name && !c->path)
        c->path = search_with_exe_added(name);
    if (!c->path) {
        output_message("program '%s' was not found", shown);
        return EXIT_NOT_FOUND;
    }
    if (has_extension(c->path, L".bat") || has_extension(c->path, L".cmd")) {
        output_message("'%s' is a batch file; use: redirector run -- cmd /c %s", shown, shown);
        child_close(c);
        return EXIT_CANNOT_RUN;
    }
    return 0;
}

/* Appends one argument, at most 2 * length + 2 units. Backslashes count only where a quote follows: there each one is
 * doubled, and one more hides the quote itself. */
static wchar_t *append_argument(wchar_t *out, const wchar_t *argument)
{
    if (*argument && !wcspbrk(argument, L" \t\n\v\"")) {
        size_t length = wcslen(argument);
        memcpy(out, argument, length * sizeof *out);
        return out + length;
    }
    size_t backslashes = 0;
    *out++ = L'"';
    for (; *argument; argument++) {
        if (*argument == L'"') {
            for (size_t i = 0; i < backslashes + 1; i++)
                *out++ = L'\\';
        }
        backslashes = *argument == L'\\' ? backslashes + 1 : 0;
        *out++ = *argument;
    }
    for (size_t i = 0; i < backslashes; i++)
        *out++ = L'\\';
    *out++ = L'"';
    return out;
}

wchar_t *child_command_line(wchar_t **argv)
{
    size_t size = 1;
    for (wchar_t **argument = argv; *argument; argument++)
        size += 2 * wcslen(*argument) + 3;
    wchar_t *line = malloc(size * sizeof *line);
    if (!line)
        return NULL;
    wchar_t *end = line;
    for (wchar_t **argument = argv; *argument; argument++) {
        if (argument != argv)
            *end++ = L' ';
        end = append_argument(end, *argument);
    }
    *end = L'\0';
    return line;
}

DWORD child_start(child *c, wchar_t **argv)
{
    STARTUPINFOW startup = {.cb = sizeof startup,
                            .dwFlags = STARTF_USESTDHANDLES,
                            .hStdInput = GetStdHandle(STD_INPUT_HANDLE),
                            .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE),
                            .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
    PROCESS_INFORMATION process;
    wchar_t *line = child_command_line(argv);
    DWORD error = ERROR_OUTOFMEMORY;
    /* Handles are inherited: what our parent meant to pass on reaches the program. Our own are not inheritable. */
    if (line && CreateProcessW(c->path, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup, &process)) {
        c->process = process.hProcess;
        c->thread = process.hThread;
        c->pid = process.dwProcessId;
        error = 0;
    } else if (line) {
        error = GetLastError();
    }
    free(line);
    if (error) {
        char shown[512];
        text_copy_utf8(shown, sizeof shown, c->path);
        const char *reason = error == ERROR_BAD_EXE_FORMAT         ? "it is not a program for this Windows"
                             : error == ERROR_ACCESS_DENIED        ? "access denied"
                             : error == ERROR_FILENAME_EXCED_RANGE ? "its command line is too long"
                                                                   : "Windows refuses";
        output_message("'%s' cannot be started: %s (error %lu)", shown, reason, error);
        return EXIT_CANNOT_RUN;
    }
    return 0;
}

bool child_resume(child *c)
{
    c->resumed = ResumeThread(c->thread) != (DWORD)-1;
    return c->resumed;
}

void child_discard(child *c)
{
    TerminateProcess(c->process, EXIT_NOT_REDIRECTING);
}

void child_close(child *c)
{
    if (c->process) {
        CloseHandle(c->thread);
        CloseHandle(c->process);
    }
    free(c->path);
    *c = (child){0};
}
