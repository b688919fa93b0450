/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: opening a WinDivert handle loads the driver if needed. Its version is checked, and its queue set
 * to the largest size.
 */
#include "windows/divert_internal.h"

#include <stdio.h>

/* WinDivert's numbers. */
enum { FLAG_SNIFF = 1, FLAG_RECV_ONLY = 4, FLAG_SEND_ONLY = 8, FLAG_NO_INSTALL = 16 };
enum { PARAM_QUEUE_LENGTH, PARAM_QUEUE_TIME, PARAM_QUEUE_SIZE, PARAM_VERSION_MAJOR, PARAM_VERSION_MINOR };

/* A driver of another version may have been loaded by another program; the DLL checks its major version only. */
static bool check_driver_version(struct divert_api *api, HANDLE handle, redirector_error *error)
{
    uint64_t major = 0, minor = 0;
    if (atomic_load(&api->right_driver)) {
        return true;
    }
    if (!api->get_param(handle, PARAM_VERSION_MAJOR, &major) || !api->get_param(handle, PARAM_VERSION_MINOR, &minor)) {
        error_set(error, REDIRECTOR_DRIVER_FAILED, GetLastError(), "its version cannot be read");
        return false;
    }
    if (major == 2 && minor == 2) {
        atomic_store(&api->right_driver, true);
        return true;
    }
    char detail[80];
    snprintf(detail, sizeof detail, "the loaded driver is version %u.%u", (unsigned)major, (unsigned)minor);
    error_set(error, REDIRECTOR_DRIVER_CONFLICT, 0, detail);
    return false;
}

/* The driver silently drops packets that overflow the queue or expire in it, so all limits are set to their maximum. */
static bool raise_queue_limits(const struct divert_api *api, HANDLE handle, redirector_error *error)
{
    if (api->set_param(handle, PARAM_QUEUE_LENGTH, 16384) && api->set_param(handle, PARAM_QUEUE_TIME, 16000) &&
        api->set_param(handle, PARAM_QUEUE_SIZE, 33554432)) {
        return true;
    }
    error_set(error, REDIRECTOR_DRIVER_FAILED, GetLastError(), "its queue limits cannot be set");
    return false;
}

/*
 * The DLL installs the driver when none is loaded. When the driver's file is missing, it leaves a broken service
 * behind, with which every later start fails, too. So the first attempt does not install, and the second is made only
 * if the file exists.
 */
static HANDLE try_open(const struct divert_api *api, const char *filter, enum divert_layer layer, int16_t priority,
                       uint64_t flags)
{
    HANDLE handle = api->open(filter, (int)layer, priority, flags | FLAG_NO_INSTALL);
    bool absent = handle == INVALID_HANDLE_VALUE && GetLastError() == ERROR_SERVICE_DOES_NOT_EXIST;
    if (!absent) {
        return handle;
    }
    if (!divert_driver_is_there(api)) {
        SetLastError(ERROR_FILE_NOT_FOUND);
        return handle;
    }
    return api->open(filter, (int)layer, priority, flags);
}

HANDLE divert_open_handle(struct divert_api *api, const char *filter, enum divert_layer layer, int16_t priority,
                          bool sends_only, redirector_error *error)
{
    uint64_t flags = layer == DIVERT_LAYER_NETWORK ? 0 : FLAG_SNIFF | FLAG_RECV_ONLY;
    HANDLE handle = try_open(api, filter, layer, priority, sends_only ? FLAG_SEND_ONLY : flags);
    if (!handle || handle == INVALID_HANDLE_VALUE) { /* NULL: the DLL ran out of memory */
        divert_open_error(api, GetLastError(), error);
        return NULL;
    }
    /* Nothing comes to who only sends; and what REFLECT tells is read at once. */
    bool queues = !sends_only && layer != DIVERT_LAYER_REFLECT;
    if ((queues && !raise_queue_limits(api, handle, error)) || !check_driver_version(api, handle, error)) {
        api->close(handle);
        return NULL;
    }
    return handle;
}
