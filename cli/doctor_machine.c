/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* doctor: the state of the machine without the driver: rights, files, services, firewall. */
#include "doctor.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <winsvc.h>

enum { PATH_BYTES = 1200 };

static void check_rights(void)
{
    TOKEN_ELEVATION elevation = {0};
    HANDLE token;
    DWORD size;
    if (OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        GetTokenInformation(token, TokenElevation, &elevation, sizeof elevation, &size);
        CloseHandle(token);
    }
    doctor_found(elevation.TokenIsElevated ? FINDING_OK : FINDING_WRONG, "administrator rights", "",
                 elevation.TokenIsElevated ? "" : "open a terminal with 'Run as administrator' and try again there");
}

static void check_processor(void)
{
    BOOL(WINAPI * ask)(HANDLE, USHORT *, USHORT *);
    USHORT process, machine = IMAGE_FILE_MACHINE_AMD64;
    FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "IsWow64Process2");
    memcpy(&ask, &found, sizeof ask);
    if (ask) {
        ask(GetCurrentProcess(), &process, &machine);
    }
    if (machine == IMAGE_FILE_MACHINE_ARM64) {
        doctor_found(FINDING_WRONG, "processor", "ARM64",
                     "the WinDivert driver exists for x64 alone: use a machine with an Intel or AMD processor");
    } else {
        doctor_found(FINDING_OK, "processor", "x64", "");
    }
}

/* ---- files */

static void check_file(const wchar_t *folder, const char *name)
{
    wchar_t path[MAX_PATH + 64];
    char shown[PATH_BYTES];
    _snwprintf(path, sizeof path / sizeof path[0], L"%ls\\%hs", folder, name);
    path[sizeof path / sizeof path[0] - 1] = L'\0';
    text_copy_utf8(shown, sizeof shown, path);
    doctor_tell_file(name, path);
    if (GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES) {
        doctor_found(FINDING_OK, name, shown, "");
    } else {
        doctor_found(
            FINDING_WRONG, name, "not found",
            "put WinDivert.dll and WinDivert64.sys of WinDivert 2.2.2 (x64) beside redirector.exe, or name their "
            "folder by --windivert; if they were there, antivirus may have removed them");
    }
}

static void check_files(const struct options *o)
{
    wchar_t folder[MAX_PATH] = L"";
    if (o->windivert_dir) {
        MultiByteToWideChar(CP_UTF8, 0, o->windivert_dir, -1, folder, MAX_PATH);
    } else if (GetModuleFileNameW(NULL, folder, MAX_PATH)) {
        wchar_t *base = (wchar_t *)text_base_name(folder);
        if (base > folder) {
            base[-1] = L'\0';
        }
    }
    check_file(folder, "WinDivert.dll");
    check_file(folder, "WinDivert64.sys");
}

/* ---- the filtering engine */

static void check_filtering(void)
{
    SERVICE_STATUS status = {0};
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager ? OpenServiceW(manager, L"BFE", SERVICE_QUERY_STATUS) : NULL;
    if (!service || !QueryServiceStatus(service, &status)) {
        doctor_found(FINDING_NOTE, "Base Filtering Engine", "cannot be asked", "");
    } else if (status.dwCurrentState == SERVICE_RUNNING) {
        doctor_found(FINDING_OK, "Base Filtering Engine", "runs", "");
    } else {
        doctor_found(FINDING_WRONG, "Base Filtering Engine", "does not run", "start it: sc start BFE");
    }
    if (service) {
        CloseServiceHandle(service);
    }
    if (manager) {
        CloseServiceHandle(manager);
    }
}

void doctor_check_machine(const struct options *o)
{
    check_processor();
    check_rights();
    check_files(o);
    check_filtering();
    doctor_check_firewall();
    doctor_check_filters();
}
