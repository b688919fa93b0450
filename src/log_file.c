/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The log's file.
 *
 * Theory of operation: when an elevated program appends to a file at a predictable path, another program can put a link
 * there and so choose the file that is written (S7). So the open never follows a reparse point, and the opened file is
 * then checked to be a regular file with one name. A path from the environment is trusted less: an elevated program
 * gets its environment from the user's registry, which any program of that user can write. A file at such a path must
 * be new, empty or already a log, or it is refused.
 *
 * Several redirectors may write to one file: each write appends as a whole, and all of them open it so that the others
 * can rename it. A redirector that finds the file too large reopens the path first, in case another has renamed it.
 */
#include "log_file.h"

#include "log.h"
#include "windows/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

struct log_file {
    HANDLE handle; /* INVALID_HANDLE_VALUE while the file cannot be opened */
    wchar_t *path;
    wchar_t *rotated_path;
    bool only_a_log;
};

/* Whether the file begins as a line of ours does ("2026-01-31T23:59:59.123Z "), or is empty. */
static bool is_a_log(HANDLE handle)
{
    static const char form[] = "0000-00-00T00:00:00.000Z ";
    char begin[sizeof form - 1];
    DWORD size;
    OVERLAPPED at_the_beginning = {0};
    if (!ReadFile(handle, begin, sizeof begin, &size, &at_the_beginning)) {
        return GetLastError() == ERROR_HANDLE_EOF;
    }
    for (DWORD i = 0; i < size; i++) {
        bool digit = begin[i] >= '0' && begin[i] <= '9';
        if (form[i] == '0' ? !digit : begin[i] != form[i]) {
            return false;
        }
    }
    return size == 0 || size == sizeof begin;
}

/* Why an opened file must not be written to; NULL: it may be. */
static const char *refusal(HANDLE handle, bool only_a_log)
{
    BY_HANDLE_FILE_INFORMATION info;
    if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileInformationByHandle(handle, &info)) {
        return "it is not a file";
    }
    if (info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) {
        return "it is a link";
    }
    if (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
        return "it is a folder";
    }
    if (info.nNumberOfLinks > 1) {
        return "it has more than one name (hard link)";
    }
    if (only_a_log && !is_a_log(handle)) {
        return "it is not a log";
    }
    return NULL;
}

/* Opens file->path; on failure *os_error or *reason say why. */
static bool open_handle(struct log_file *file, uint32_t *os_error, const char **reason)
{
    *os_error = ERROR_SUCCESS;
    *reason = NULL;
    /* Anonymous: if the path is a pipe, its server cannot impersonate this process. */
    DWORD flags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS;
    DWORD access = FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE | (file->only_a_log ? FILE_READ_DATA : 0);
    file->handle = CreateFileW(file->path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                               OPEN_ALWAYS, flags, NULL);
    if (file->handle == INVALID_HANDLE_VALUE) {
        *os_error = GetLastError();
        return false;
    }
    *reason = refusal(file->handle, file->only_a_log);
    if (!*reason) {
        return true;
    }
    CloseHandle(file->handle);
    file->handle = INVALID_HANDLE_VALUE;
    return false;
}

struct log_file *log_file_open(const char *path, bool only_a_log, redirector_error *error)
{
    struct log_file *file = calloc(1, sizeof *file);
    uint32_t os_error = ERROR_NOT_ENOUGH_MEMORY;
    const char *reason = NULL;
    if (!file) {
        goto fail;
    }
    file->handle = INVALID_HANDLE_VALUE;
    file->only_a_log = only_a_log;
    wchar_t *given = text_to_wide(path);
    file->path = given ? path_full(given) : NULL;
    os_error = GetLastError();
    free(given);
    if (!file->path) {
        goto fail;
    }
    size_t size = wcslen(file->path) + sizeof ".1";
    file->rotated_path = malloc(size * sizeof(wchar_t));
    os_error = ERROR_NOT_ENOUGH_MEMORY;
    if (!file->rotated_path) {
        goto fail;
    }
    wcscpy(file->rotated_path, file->path);
    wcscat(file->rotated_path, L".1");
    if (open_handle(file, &os_error, &reason)) {
        return file;
    }
fail:;
    char detail[400];
    snprintf(detail, sizeof detail, "%s%s%s", path, reason ? ": " : "", reason ? reason : "");
    error_set(error, error_status(os_error, REDIRECTOR_LOG_FAILED), os_error, detail);
    log_file_close(file);
    return NULL;
}

void log_file_close(struct log_file *file)
{
    if (!file) {
        return;
    }
    if (file->handle != INVALID_HANDLE_VALUE) {
        CloseHandle(file->handle);
    }
    free(file->path);
    free(file->rotated_path);
    free(file);
}

static bool is_full(const struct log_file *file)
{
    LARGE_INTEGER size;
    return GetFileSizeEx(file->handle, &size) && size.QuadPart >= LOG_FILE_MAX;
}

static bool reopen(struct log_file *file)
{
    uint32_t os_error;
    const char *reason;
    if (file->handle != INVALID_HANDLE_VALUE) {
        CloseHandle(file->handle);
    }
    return open_handle(file, &os_error, &reason);
}

/* Ensures that the file is open and has room. */
static bool make_room(struct log_file *file)
{
    if (file->handle != INVALID_HANDLE_VALUE && !is_full(file)) {
        return true;
    }
    if (!reopen(file)) { /* the file at the path may be a new one, made by another redirector */
        return false;
    }
    if (!is_full(file)) {
        return true;
    }
    if (!MoveFileExW(file->path, file->rotated_path, MOVEFILE_REPLACE_EXISTING)) {
        return false; /* nothing is written until it can be renamed, so that its size stays bounded */
    }
    return reopen(file);
}

bool log_file_write(struct log_file *file, const char *lines, size_t bytes)
{
    DWORD written;
    return make_room(file) && WriteFile(file->handle, lines, (DWORD)bytes, &written, NULL) && written == bytes;
}
