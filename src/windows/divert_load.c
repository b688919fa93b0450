/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Loading WinDivert.dll.
 *
 * Theory of operation: an elevated program that loads a DLL by the search path may run a DLL that another user put into
 * one of its folders (S7). So the DLL is loaded by its full path, its imports come from the system folder only, and a
 * folder that is not absolute is refused.
 *
 * The DLL has no version resource. Its exports show the version: those of 2.x differ from 1.x, and 2.2 renamed the
 * address helpers. The driver reports its own version once a handle is open (divert_open.c).
 *
 * Once loaded, the DLL stays loaded until the process ends. It creates an event for each thread that begins while it is
 * loaded, and closes it when that thread ends; unloading it earlier would leak the events of all running threads. This
 * library's own DLL stays loaded, too: a thread that hangs in the driver during stop may return into it later.
 */
#include "windows/divert_internal.h"
#include "windows/text.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_KEPT = -1 };

static const struct {
    const char *name;
    int offset; /* in struct divert_api */
} exports[] = {
    {"WinDivertOpen", offsetof(struct divert_api, open)},
    {"WinDivertRecvEx", offsetof(struct divert_api, recv_ex)},
    {"WinDivertSendEx", offsetof(struct divert_api, send_ex)},
    {"WinDivertShutdown", offsetof(struct divert_api, shutdown)},
    {"WinDivertClose", offsetof(struct divert_api, close)},
    {"WinDivertSetParam", offsetof(struct divert_api, set_param)},
    {"WinDivertGetParam", offsetof(struct divert_api, get_param)},
    {"WinDivertHelperFormatFilter", offsetof(struct divert_api, format_filter)},
    {"WinDivertHelperNtohIPv6Address", NOT_KEPT}, /* 2.1 and before: ...Ipv6Address */
};

/* false: *missing names the first export that is missing. */
static bool resolve_exports(struct divert_api *api, const char **missing)
{
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++) {
        FARPROC function = GetProcAddress(api->module, exports[i].name);
        if (!function) {
            *missing = exports[i].name;
            return false;
        }
        if (exports[i].offset != NOT_KEPT) {
            memcpy((char *)api + exports[i].offset, &function, sizeof function);
        }
    }
    return true;
}

/* The folder of the DLL in full; NULL with *error set. */
static wchar_t *dll_folder(const char *dir, redirector_error *error)
{
    wchar_t *given = dir ? text_to_wide(dir) : path_program_folder();
    wchar_t *full = NULL;
    if (!given) {
        uint32_t code = GetLastError();
        bool not_text = code == ERROR_NO_UNICODE_TRANSLATION;
        error_set(error, error_status(code, REDIRECTOR_DLL_NOT_FOUND), code,
                  not_text ? "its folder's name is not UTF-8" : NULL);
    } else if (!path_is_absolute(given)) {
        char detail[300];
        snprintf(detail, sizeof detail, "the folder must be absolute, this is not: %s", dir);
        error_set(error, REDIRECTOR_DLL_NOT_FOUND, 0, detail);
    } else if (!(full = path_full(given))) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
    }
    free(given);
    return full;
}

/* Keeps the module that contains the address loaded until the process ends. false: it failed. */
static bool pin(const void *address)
{
    HMODULE pinned;
    return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, address, &pinned);
}

static HMODULE load_module(const wchar_t *folder, redirector_error *error)
{
    wchar_t *path = path_join(folder, L"WinDivert.dll");
    if (!path) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        return NULL;
    }
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!module) {
        uint32_t code = GetLastError();
        char detail[1024];
        text_from_wide(path, detail, sizeof detail);
        /* 193: the file is a 32-bit DLL, or not a DLL */
        redirector_status otherwise = code == ERROR_BAD_EXE_FORMAT ? REDIRECTOR_DLL_VERSION : REDIRECTOR_DLL_NOT_FOUND;
        error_set(error, error_status(code, otherwise), code, detail);
    }
    free(path);
    return module;
}

struct divert_api *divert_load(const char *dir, redirector_error *error)
{
    const char *missing;
    struct divert_api *api = calloc(1, sizeof *api);
    if (!api) {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
        return NULL;
    }
    atomic_store(&api->owners, 1);
    api->folder = dll_folder(dir, error);
    if (!api->folder) {
        goto fail;
    }
    api->module = load_module(api->folder, error);
    if (!api->module) {
        goto fail;
    }
    if (!resolve_exports(api, &missing)) {
        char detail[100];
        snprintf(detail, sizeof detail, "it has no %s", missing);
        error_set(error, REDIRECTOR_DLL_VERSION, 0, detail);
        goto fail;
    }
    if (!pin(api->module) || !pin(exports)) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), NULL);
        goto fail;
    }
    return api;
fail:
    divert_unload(api);
    return NULL;
}

struct divert_api *divert_retain(struct divert_api *api)
{
    atomic_fetch_add(&api->owners, 1);
    return api;
}

void divert_unload(struct divert_api *api)
{
    if (!api || atomic_fetch_sub(&api->owners, 1) != 1) {
        return;
    }
    if (api->module) {
        FreeLibrary(api->module);
    }
    free(api->folder);
    free(api);
}
