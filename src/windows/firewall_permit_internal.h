/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file firewall_permit_internal.h
 * The functions of fwpuclnt.dll that a permit needs: a table, so that tests can put their own in.
 */
#ifndef WINDOWS_FIREWALL_PERMIT_INTERNAL_H
#define WINDOWS_FIREWALL_PERMIT_INTERNAL_H

#include "windows/firewall_permit.h"

#include <winsock2.h>

#include <fwpmu.h>

struct firewall_api {
    DWORD(WINAPI *open)
    (const wchar_t *server, UINT32 authentication, SEC_WINNT_AUTH_IDENTITY_W *identity, const FWPM_SESSION0 *session,
     HANDLE *engine);
    DWORD(WINAPI *close)(HANDLE engine);
    DWORD(WINAPI *begin)(HANDLE engine, UINT32 flags);
    DWORD(WINAPI *commit)(HANDLE engine);
    DWORD(WINAPI *add_sublayer)(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, PSECURITY_DESCRIPTOR sd);
    DWORD(WINAPI *add_filter)(HANDLE engine, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id);
};

/** As firewall_permit_begin(), with other functions; NULL: those of fwpuclnt.dll. */
struct firewall_permit *firewall_permit_begin_with(const struct firewall_api *api);

#endif
