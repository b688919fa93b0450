/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * WinDivert enters its driver among the services when a program first uses it, and Windows keeps it loaded, and its file
 * locked, until it is stopped or Windows restarts. To stop it while a program has handles leaves it in a state in which
 * nobody can open it any more, so who removes it asks for users first.
 */
#include "driver.h"

#include "text.h"
#include "worker.h"

enum { STOP_MS = 5000, STEP_MS = 50, LISTEN_MS = 300 };

static const wchar_t service_name[] = L"WinDivert";

/* "\??\C:\folder\WinDivert64.sys", "System32\drivers\...": as a path that files have. */
static void find_file(struct driver_entry *e, const wchar_t *image)
{
    enum { UNITS = sizeof e->path / sizeof e->path[0] };
    const wchar_t *at = wcsncmp(image, L"\\??\\", 4) == 0 ? image + 4 : image;
    if (_wcsnicmp(at, L"System32\\", 9) == 0) {
        wchar_t windows[MAX_PATH];
        GetWindowsDirectoryW(windows, MAX_PATH);
        _snwprintf(e->path, UNITS, L"%ls\\%ls", windows, at);
    } else {
        wcsncpy(e->path, at, UNITS);
    }
    e->path[UNITS - 1] = L'\0';
    text_copy_utf8(e->file, sizeof e->file, e->path);
    e->file_missing = GetFileAttributesW(e->path) == INVALID_FILE_ATTRIBUTES;
}

void driver_open(struct driver_entry *e, DWORD rights)
{
    char buffer[8192]; /* the most that QueryServiceConfig gives */
    QUERY_SERVICE_CONFIGW *config = (QUERY_SERVICE_CONFIGW *)(void *)buffer;
    SERVICE_STATUS status = {0};
    DWORD size;
    *e = (struct driver_entry){.manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT)};
    if (e->manager) {
        e->service = OpenServiceW(e->manager, service_name, SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS | rights);
    }
    if (!e->service) {
        e->error = GetLastError();
        return;
    }
    if (QueryServiceStatus(e->service, &status)) {
        e->running = status.dwCurrentState != SERVICE_STOPPED;
    }
    if (QueryServiceConfigW(e->service, config, sizeof buffer, &size) && config->lpBinaryPathName) {
        find_file(e, config->lpBinaryPathName);
    }
}

void driver_close(const struct driver_entry *e)
{
    if (e->service) {
        CloseServiceHandle(e->service);
    }
    if (e->manager) {
        CloseServiceHandle(e->manager);
    }
}

DWORD driver_remove(const struct driver_entry *e)
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

/* ---- users */

static void end_later(void *handle)
{
    Sleep(LISTEN_MS); /* the handles that exist are told at once; there is no mark behind the last */
    tap_end(handle);
}

bool driver_users(void (*found)(void *context, const tap_address *address), void *context)
{
    struct tap_handle *h = tap_open("true", TAP_REFLECT, 0, TAP_SNIFF | TAP_RECEIVE_ONLY);
    struct worker timer = {0};
    bool asked = h && worker_start(&timer, end_later, h);
    char filter[TAP_PACKET_MAX / 8];
    uint32_t length;
    tap_address address;
    while (asked && tap_receive(h, filter, sizeof filter, &length, &address)) {
        if (address.event == TAP_OPENED && address.data.reflect.pid != GetCurrentProcessId()) {
            found(context, &address);
        }
    }
    worker_end(&timer);
    tap_close(h);
    return asked;
}
