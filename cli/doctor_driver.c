/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * doctor: the driver's entry among the services. WinDivert enters its driver there when a program first uses it, and
 * Windows unloads it when the last program closes. A crash, or a file that was moved, leaves an entry that points
 * nowhere, or a driver that nobody uses and whose file cannot be deleted: that is what --clean removes.
 */
#include "doctor.h"

#include "doctor_report.h"
#include "tap.h"
#include "output.h"
#include "processes.h"
#include "text.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsvc.h>

enum { STOP_MS = 5000, STEP_MS = 50, USERS_MAX = 64, LISTEN_MS = 300 };

static const wchar_t service_name[] = L"WinDivert";

struct entry {
    SC_HANDLE manager, service; /* service NULL: there is no entry, or no right to see it */
    bool running, file_missing;
    char file[1200];
};

/* "\??\C:\folder\WinDivert64.sys", "System32\drivers\...": as a path that files have. */
static void find_file(struct entry *e, const wchar_t *image)
{
    wchar_t path[1024];
    const wchar_t *at = wcsncmp(image, L"\\??\\", 4) == 0 ? image + 4 : image;
    if (_wcsnicmp(at, L"System32\\", 9) == 0) {
        wchar_t windows[MAX_PATH];
        GetWindowsDirectoryW(windows, MAX_PATH);
        _snwprintf(path, sizeof path / sizeof path[0], L"%ls\\%ls", windows, at);
    } else {
        wcsncpy(path, at, sizeof path / sizeof path[0]);
    }
    path[sizeof path / sizeof path[0] - 1] = L'\0';
    text_copy_utf8(e->file, sizeof e->file, path);
    e->file_missing = GetFileAttributesW(path) == INVALID_FILE_ATTRIBUTES;
}

static void open_entry(struct entry *e, DWORD rights)
{
    char buffer[8192]; /* the most that QueryServiceConfig gives */
    QUERY_SERVICE_CONFIGW *config = (QUERY_SERVICE_CONFIGW *)(void *)buffer;
    SERVICE_STATUS status = {0};
    DWORD size;
    *e = (struct entry){.manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT)};
    if (e->manager) {
        e->service = OpenServiceW(e->manager, service_name, SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS | rights);
    }
    if (!e->service) {
        return;
    }
    if (QueryServiceStatus(e->service, &status)) {
        e->running = status.dwCurrentState != SERVICE_STOPPED;
    }
    if (QueryServiceConfigW(e->service, config, sizeof buffer, &size) && config->lpBinaryPathName) {
        find_file(e, config->lpBinaryPathName);
    }
}

static void close_entry(struct entry *e)
{
    if (e->service) {
        CloseServiceHandle(e->service);
    }
    if (e->manager) {
        CloseServiceHandle(e->manager);
    }
}

/* Stops the driver and removes its entry. 0, or the Windows error. */
static DWORD remove_entry(const struct entry *e)
{
    SERVICE_STATUS status = {0};
    if (e->running && !ControlService(e->service, SERVICE_CONTROL_STOP, &status) &&
        GetLastError() != ERROR_SERVICE_NOT_ACTIVE) {
        return GetLastError();
    }
    for (int waited = 0; waited < STOP_MS; waited += STEP_MS) { /* Windows has no event for this */
        if (!QueryServiceStatus(e->service, &status) || status.dwCurrentState == SERVICE_STOPPED) {
            break;
        }
        Sleep(STEP_MS);
    }
    if (DeleteService(e->service) || GetLastError() == ERROR_SERVICE_MARKED_FOR_DELETE) {
        return 0;
    }
    return GetLastError();
}

static void clean(void)
{
    struct entry e;
    open_entry(&e, SERVICE_STOP | DELETE);
    DWORD error = e.service ? remove_entry(&e) : GetLastError();
    char detail[64];
    snprintf(detail, sizeof detail, "error %lu", error);
    if (!e.service && error == ERROR_SERVICE_DOES_NOT_EXIST) {
        doctor_found(FINDING_OK, "clean", "there is nothing to remove", "");
    } else if (error) {
        doctor_found(FINDING_WRONG, "clean", detail,
                     "the entry could not be removed: end the programs that use WinDivert, run as Administrator, or "
                     "restart Windows");
    } else {
        doctor_found(FINDING_OK, "clean", "the driver is stopped and its entry removed", "");
    }
    close_entry(&e);
}

void doctor_check_driver(const struct options *o)
{
    struct entry e;
    if (o->clean) {
        clean();
    }
    open_entry(&e, 0);
    if (!e.service) {
        doctor_found(FINDING_OK, "WinDivert service", "no entry; the first use makes one", "");
    } else if (e.file_missing) {
        doctor_found(FINDING_WRONG, "WinDivert service", e.file,
                     "left behind: the entry points to a file that is gone; remove it: redirector doctor --clean");
    } else if (e.running) {
        doctor_found(FINDING_NOTE, "WinDivert service", e.file,
                     "the driver is loaded; if no program below uses it, a crash left it: redirector doctor --clean");
    } else {
        doctor_found(FINDING_OK, "WinDivert service", e.file, "");
    }
    close_entry(&e);
}

/* ---- other users */

static void name_user(char *out, size_t size, const tap_address *address)
{
    static const char *const layers[] = {"packets", "forwarded packets", "flows", "sockets"};
    struct process_row row = {.pid = address->data.reflect.pid};
    uint32_t layer = address->data.reflect.layer;
    processes_look(&row);
    doctor_item("users");
    doctor_text("program", row.path);
    doctor_own_text("layer", "%s", layer < 4 ? layers[layer] : "?");
    doctor_number("priority", address->data.reflect.priority);
    doctor_number("flags", (double)address->data.reflect.flags);
    snprintf(out, size, "%.200s (%u): %s, priority %d", *row.path ? row.path : "a process that has ended", row.pid,
             layer < 4 ? layers[layer] : "?", address->data.reflect.priority);
}

static void end_later(void *handle)
{
    Sleep(LISTEN_MS); /* the handles that exist are told at once; there is no mark behind the last */
    tap_end(handle);
}

void doctor_check_users(void)
{
    struct tap_handle *h = tap_open("true", TAP_REFLECT, 0, TAP_SNIFF | TAP_RECEIVE_ONLY);
    struct worker timer = {0};
    bool asked = h && worker_start(&timer, end_later, h);
    char filter[TAP_PACKET_MAX / 8], shown[400];
    uint32_t length;
    unsigned users = 0;
    tap_address address;
    while (asked && tap_receive(h, filter, sizeof filter, &length, &address)) {
        if (address.event != TAP_OPENED || address.data.reflect.pid == GetCurrentProcessId() || users++ >= USERS_MAX) {
            continue;
        }
        name_user(shown, sizeof shown, &address);
        doctor_found(
            FINDING_NOTE, "also uses WinDivert", shown,
            "it may see or change packets before or after redirector (priority 702 to 899); end it if connections "
            "go astray");
    }
    worker_end(&timer);
    if (!asked) {
        doctor_found(FINDING_NOTE, "other WinDivert users", "cannot be asked", "");
    } else if (!users) {
        doctor_found(FINDING_OK, "other WinDivert users", "none", "");
    }
    tap_close(h);
}
