/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the driver is unloaded if no other program uses it, so that Windows no longer holds
 * WinDivert64.sys.
 *
 * The driver itself reports who uses it: a handle of its REFLECT layer first receives an event for each open handle,
 * and then one for each handle that opens or closes. Closing takes a moment, so handles of ours may still be reported.
 */
#include "windows/divert_internal.h"

enum { REFLECT_OPEN = 8, REFLECT_CLOSE = 9 };

/* After IDLE_MS without an event all existing handles have been reported; handles that close get CLOSING_MS in all. */
enum { IDLE_MS = 30, CLOSING_MS = 250 };

/* Handles that were opened less those that were closed, by one batch of events. */
static int count_handles(const struct divert_batch *batch)
{
    int handles = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        handles += (batch->addresses[i].event == REFLECT_OPEN) - (batch->addresses[i].event == REFLECT_CLOSE);
    }
    return handles;
}

static bool is_unused(struct divert_api *api)
{
    redirector_error error = {.size = sizeof error};
    struct divert_ring *ring = divert_open(api, "true", DIVERT_LAYER_REFLECT, 0, &error);
    ULONGLONG deadline = GetTickCount64() + CLOSING_MS;
    bool alone = false, failed = !ring;
    int handles = 0;
    while (!failed && !alone && GetTickCount64() < deadline) {
        struct divert_batch batch;
        uint32_t os_error;
        enum divert_result result = divert_next(ring, &batch, &os_error);
        if (result == DIVERT_BATCH) {
            handles += count_handles(&batch);
            divert_recycle(ring);
        } else if (result == DIVERT_NOTHING) {
            bool idle = WaitForSingleObject(divert_wait_handle(ring), IDLE_MS) == WAIT_TIMEOUT;
            alone = idle && handles == 0;
        } else {
            failed = true;
        }
    }
    divert_close(ring);
    return alone;
}

bool divert_stop_driver(struct divert_api *api)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager ? OpenServiceW(manager, L"WinDivert", SERVICE_STOP) : NULL;
    SERVICE_STATUS status;
    bool stopped = service && is_unused(api) && ControlService(service, SERVICE_CONTROL_STOP, &status);
    if (service) {
        CloseServiceHandle(service);
    }
    if (manager) {
        CloseServiceHandle(manager);
    }
    return stopped;
}
