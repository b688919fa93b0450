/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the parts of the WinDivert layer share: the loaded DLL, and the translation of its errors. */
#ifndef WINDOWS_DIVERT_INTERNAL_H
#define WINDOWS_DIVERT_INTERNAL_H

#include "windows/divert.h"

#include <windows.h>

/** The loaded DLL. Names and types as in WinDivert's manual; `flags` of the Ex calls is always 0. */
struct divert_api {
    HMODULE module;
    wchar_t *folder;
    HANDLE (*open)(const char *filter, int layer, int16_t priority, uint64_t flags);
    BOOL (*recv_ex)
    (HANDLE handle, void *packets, UINT bytes, UINT *received, uint64_t flags, struct divert_address *addresses,
     UINT *address_bytes, OVERLAPPED *overlapped);
    BOOL (*send_ex)
    (HANDLE handle, const void *packets, UINT bytes, UINT *sent, uint64_t flags, const struct divert_address *addresses,
     UINT address_bytes, OVERLAPPED *overlapped);
    BOOL (*shutdown)(HANDLE handle, int how);
    BOOL (*close)(HANDLE handle);
    BOOL (*set_param)(HANDLE handle, int param, uint64_t value);
    BOOL (*get_param)(HANDLE handle, int param, uint64_t *value);
};

/** What a Windows error of WinDivertOpen means. */
redirector_status divert_open_status(uint32_t os_error);

/** Fills in *error for a failed open, with what else is to be known: which file is missing, whose driver it is. */
void divert_open_error(const struct divert_api *api, uint32_t os_error, redirector_error *error);

#endif
