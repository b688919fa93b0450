/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector unload, for who removes or replaces the files: installers run it first. Windows keeps the driver loaded after
 * its last use, and all programs with WinDivert share the one that was loaded first. So it is stopped only if it is the
 * file beside redirector.exe, and if no process has a handle: the others would find it gone, and could not load it again.
 */
#include "unload.h"

#include "driver.h"
#include "options.h"
#include "output.h"
#include "processes.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { PATH_UNITS = 1024 };

/* The file of that name beside redirector.exe. */
static bool beside(wchar_t *path, const wchar_t *name)
{
    DWORD length = GetModuleFileNameW(NULL, path, PATH_UNITS);
    wchar_t *slash = length && length < PATH_UNITS ? wcsrchr(path, L'\\') : NULL;
    if (!slash || (size_t)(slash + 1 - path) + wcslen(name) >= PATH_UNITS) {
        return false;
    }
    wcscpy(slash + 1, name);
    return true;
}

/* The path of an existing file without short names, links and junctions: scoop, for one, has a junction to the version in
 * use. */
static void resolve(wchar_t *resolved, const wchar_t *path)
{
    HANDLE file = CreateFileW(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                              FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD length = file == INVALID_HANDLE_VALUE ? 0 : GetFinalPathNameByHandleW(file, resolved, PATH_UNITS, 0);
    if (!length || length >= PATH_UNITS) {
        wcsncpy(resolved, path, PATH_UNITS);
        resolved[PATH_UNITS - 1] = L'\0';
    }
    if (file != INVALID_HANDLE_VALUE) {
        CloseHandle(file);
    }
}

static bool same_file(const wchar_t *a, const wchar_t *b)
{
    wchar_t resolved_a[PATH_UNITS], resolved_b[PATH_UNITS];
    resolve(resolved_a, a);
    resolve(resolved_b, b);
    return _wcsicmp(resolved_a, resolved_b) == 0;
}

static void note_user(void *pid, const tap_address *address)
{
    *(uint32_t *)pid = address->data.reflect.pid;
}

/* Whether a loaded driver can be stopped; says why if not. */
static bool unused(void)
{
    struct process_row row = {0};
    wchar_t dll[PATH_UNITS];
    HMODULE module = beside(dll, L"WinDivert.dll") ? LoadLibraryExW(dll, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32) : NULL;
    bool asked = module && driver_users(note_user, &row.pid);
    if (!asked) {
        output_message("the driver stays loaded: it cannot be asked who uses it; run as Administrator, with "
                       "WinDivert.dll beside redirector.exe, or restart Windows");
    } else if (row.pid) {
        processes_look(&row);
        output_message("the driver stays loaded: %s (process %u) uses it; end that, or restart Windows",
                       *row.path ? row.path : "a program", row.pid);
    }
    if (module) {
        FreeLibrary(module);
    }
    return asked && !row.pid;
}

static DWORD unload(const struct driver_entry *e)
{
    wchar_t own[PATH_UNITS];
    if (!e->service && e->error == ERROR_SERVICE_DOES_NOT_EXIST) {
        output_result("no driver is loaded");
        return 0;
    }
    if (!e->service) {
        output_message("the driver cannot be unloaded (error %lu); run as Administrator", e->error);
        return EXIT_FOUND_WRONG;
    }
    if (!beside(own, L"WinDivert64.sys") || !same_file(own, e->path)) {
        char line[OUTPUT_LINE_MAX];
        snprintf(line, sizeof line, "the driver stays: it is that of another program, %s", e->file);
        output_result(line);
        return 0;
    }
    if (e->running && !unused()) {
        return EXIT_FOUND_WRONG;
    }
    DWORD error = driver_remove(e);
    if (error) {
        output_message("the driver could not be unloaded (error %lu); restart Windows", error);
        return EXIT_FOUND_WRONG;
    }
    output_result("the driver is unloaded");
    return 0;
}

DWORD unload_command(wchar_t **arguments)
{
    struct driver_entry e;
    if (arguments[0]) {
        output_message("unload takes no arguments; see redirector --help");
        return EXIT_USAGE;
    }
    driver_open(&e, SERVICE_STOP | DELETE);
    DWORD status = unload(&e);
    driver_close(&e);
    return status;
}
