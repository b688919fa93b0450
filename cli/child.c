/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a Windows process gets its arguments as one string, and parses it by its own rules; those of the
 * C runtime and of cmd.exe differ. So the command line is not parsed and reassembled: the part after "--" is passed on
 * as typed. The program is searched here instead of by CreateProcess, to distinguish "not found" from "cannot be
 * started", and to detect a batch file before Windows passes it to cmd.exe, by whose rules an argument could become a
 * command.
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
    if (!path) {
        return NULL;
    }
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
    if (!longer) {
        return NULL;
    }
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

DWORD child_find(struct child *c, const wchar_t *name)
{
    char shown[512];
    *c = (struct child){0};
    text_copy_utf8(shown, sizeof shown, name);
    if (*name) {
        c->path = search(name, L".exe");
    }
    if (*name && !c->path) {
        c->path = search_with_exe_added(name);
    }
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

/* From the file's own header; false where that cannot be read. */
static bool has_windows(const wchar_t *path)
{
    IMAGE_DOS_HEADER dos = {0};
    IMAGE_NT_HEADERS64 nt = {0}; /* up to the subsystem the same in both sizes */
    DWORD got;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return false;
    }
    bool read = ReadFile(file, &dos, sizeof dos, &got, NULL) && got == sizeof dos &&
                dos.e_magic == IMAGE_DOS_SIGNATURE &&
                SetFilePointer(file, dos.e_lfanew, NULL, FILE_BEGIN) != INVALID_SET_FILE_POINTER &&
                ReadFile(file, &nt, sizeof nt, &got, NULL) && nt.Signature == IMAGE_NT_SIGNATURE;
    CloseHandle(file);
    return read && nt.OptionalHeader.Subsystem == IMAGE_SUBSYSTEM_WINDOWS_GUI;
}

bool child_writes_here(const struct child *c)
{
    DWORD mode;
    return !has_windows(c->path) && (GetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), &mode) ||
                                     GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode));
}

static bool is_blank(wchar_t c)
{
    return c == L' ' || c == L'\t';
}

/* Behind the argument at `at`, by the rules of the C runtime: a quote after a backslash does not count. */
static const wchar_t *skip_argument(const wchar_t *at)
{
    bool quoted = false;
    size_t backslashes = 0;
    for (; *at && (quoted || !is_blank(*at)); at++) {
        if (*at == L'"' && backslashes % 2 == 0) {
            quoted = !quoted;
        }
        backslashes = *at == L'\\' ? backslashes + 1 : 0;
    }
    return at;
}

const wchar_t *child_command_line(const wchar_t *own)
{
    const wchar_t *at = own;
    bool quoted = false;
    for (; *at && (quoted || !is_blank(*at)); at++) { /* the program's own name, in which a backslash escapes nothing */
        quoted ^= *at == L'"';
    }
    for (;;) {
        while (is_blank(*at)) {
            at++;
        }
        if (!*at) {
            return NULL;
        }
        const wchar_t *end = skip_argument(at);
        bool found = end - at == 2 && at[0] == L'-' && at[1] == L'-';
        at = end;
        if (!found) {
            continue;
        }
        while (is_blank(*at)) {
            at++;
        }
        return at;
    }
}

DWORD child_start(struct child *c, const wchar_t *line)
{
    STARTUPINFOW startup = {.cb = sizeof startup,
                            .dwFlags = STARTF_USESTDHANDLES,
                            .hStdInput = GetStdHandle(STD_INPUT_HANDLE),
                            .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE),
                            .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
    PROCESS_INFORMATION process;
    wchar_t *copy = _wcsdup(line); /* CreateProcess may write to it */
    DWORD error = ERROR_OUTOFMEMORY;
    /* Handles are inherited, so that those of the parent reach the program. This process' own are not inheritable. */
    if (copy && CreateProcessW(c->path, copy, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup, &process)) {
        c->process = process.hProcess;
        c->thread = process.hThread;
        c->pid = process.dwProcessId;
        error = 0;
    } else if (copy) {
        error = GetLastError();
    }
    free(copy);
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

bool child_resume(struct child *c)
{
    c->resumed = ResumeThread(c->thread) != (DWORD)-1;
    return c->resumed;
}

void child_discard(struct child *c)
{
    TerminateProcess(c->process, EXIT_NOT_REDIRECTING);
}

void child_close(struct child *c)
{
    if (c->process) {
        CloseHandle(c->thread);
        CloseHandle(c->process);
    }
    free(c->path);
    *c = (struct child){0};
}
