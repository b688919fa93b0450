/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file divert_internal.h  Shared by the parts of the WinDivert layer: the loaded DLL, and the translation of its
 * errors.
 */
#ifndef WINDOWS_DIVERT_INTERNAL_H
#define WINDOWS_DIVERT_INTERNAL_H

#include "windows/divert.h"

#include <stdatomic.h>
#include <windows.h>

/* Receiving and sending batches; `flags` is always 0. */
typedef BOOL divert_recv_fn(HANDLE handle, void *packets, UINT bytes, UINT *received, uint64_t flags,
                            struct divert_address *addresses, UINT *address_bytes, OVERLAPPED *overlapped);
typedef BOOL divert_send_fn(HANDLE handle, const void *packets, UINT bytes, UINT *sent, uint64_t flags,
                            const struct divert_address *addresses, UINT address_bytes, OVERLAPPED *overlapped);

/** The loaded DLL. Functions as in WinDivert's manual. */
struct divert_api {
    atomic_uint owners;
    atomic_bool right_driver; /* its version was asked for: another cannot be loaded while a handle is open */
    HMODULE module;
    wchar_t *folder;
    HANDLE (*open)(const char *filter, int layer, int16_t priority, uint64_t flags);
    divert_recv_fn *recv_ex;
    divert_send_fn *send_ex;
    BOOL (*shutdown)(HANDLE handle, int how);
    BOOL (*close)(HANDLE handle);
    BOOL (*set_param)(HANDLE handle, int param, uint64_t value);
    BOOL (*get_param)(HANDLE handle, int param, uint64_t *value);
    BOOL (*format_filter)(const char *filter, int layer, char *text, UINT bytes);
};

/**
 * Opens a handle, checked and, if packets or events come to it for long, with raised queue limits; NULL with *error set,
 * as for divert_open().
 */
HANDLE divert_open_handle(struct divert_api *api, const char *filter, enum divert_layer layer, int16_t priority,
                          bool sends_only, redirector_error *error);

/** Whether WinDivert64.sys is beside the DLL. */
bool divert_driver_is_there(const struct divert_api *api);

/** What a Windows error of WinDivertOpen means. */
redirector_status divert_open_status(uint32_t os_error);

/** Fills in *error for a failed open, with details: which file is missing, which one the service names. */
void divert_open_error(const struct divert_api *api, uint32_t os_error, redirector_error *error);

#endif
