/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: WinDivertOpen installs and starts the driver, so most of its errors come from the service
 * control manager and from Windows' code integrity, by way of the DLL. They are translated here and nowhere else.
 */
#include "windows/divert_internal.h"
#include "windows/text.h"

#include <stdio.h>
#include <stdlib.h>

/* These are not in every compiler's winerror.h. */
enum {
    VIRUS_INFECTED = 225,
    VIRUS_DELETED = 226,
    INVALID_IMAGE_HASH = 577,
    DRIVER_FAILED_PRIOR_UNLOAD = 654, /* what the DLL reports for a driver of another major version */
    SYSTEM_INTEGRITY_POLICY_VIOLATION = 4551,
};

redirector_status divert_open_status(uint32_t os_error)
{
    switch (os_error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return REDIRECTOR_DRIVER_NOT_FOUND;
    case ERROR_ACCESS_DENIED: /* the device is for SYSTEM and Administrators only */
        return REDIRECTOR_NOT_ELEVATED;
    case INVALID_IMAGE_HASH:
        return REDIRECTOR_DRIVER_SIGNATURE;
    case DRIVER_FAILED_PRIOR_UNLOAD:
        return REDIRECTOR_DRIVER_CONFLICT;
    case ERROR_DRIVER_BLOCKED:
    case ERROR_ACCESS_DISABLED_BY_POLICY:
    case VIRUS_INFECTED:
    case VIRUS_DELETED:
    case SYSTEM_INTEGRITY_POLICY_VIOLATION:
        return REDIRECTOR_DRIVER_BLOCKED;
    case ERROR_OPEN_FAILED: /* 110: the installation failed without a code */
    case ERROR_SERVICE_REQUEST_TIMEOUT:
    case ERROR_SERVICE_DISABLED: /* also after "sc stop" while handles are open */
    case ERROR_SERVICE_DOES_NOT_EXIST:
    case ERROR_SERVICE_MARKED_FOR_DELETE:
        return REDIRECTOR_DRIVER_SERVICE;
    case EPT_S_NOT_REGISTERED:
        return REDIRECTOR_BFE_NOT_RUNNING;
    case ERROR_INVALID_PARAMETER: /* our own filter, layer, flags or priority */
        return REDIRECTOR_INTERNAL;
    default:
        return error_status(os_error, REDIRECTOR_DRIVER_FAILED);
    }
}

bool divert_driver_is_there(const struct divert_api *api)
{
    wchar_t *driver = path_join(api->folder, L"WinDivert64.sys");
    bool there = driver && GetFileAttributesW(driver) != INVALID_FILE_ATTRIBUTES;
    free(driver);
    return there;
}

/* If the file is missing, that is the cause of these failures, whatever the code. */
static bool may_lack_file(redirector_status status)
{
    return status == REDIRECTOR_DRIVER_NOT_FOUND || status == REDIRECTOR_DRIVER_SERVICE ||
           status == REDIRECTOR_DRIVER_FAILED;
}

void divert_open_error(const struct divert_api *api, uint32_t os_error, redirector_error *error)
{
    redirector_status status = divert_open_status(os_error);
    char folder[900], detail[1024] = "";
    text_from_wide(api->folder, folder, sizeof folder);
    if (may_lack_file(status) && !divert_driver_is_there(api)) {
        status = REDIRECTOR_DRIVER_NOT_FOUND;
        snprintf(detail, sizeof detail, "no %s\\WinDivert64.sys", folder);
    } else if (status == REDIRECTOR_DRIVER_NOT_FOUND) {
        snprintf(detail, sizeof detail, "%s\\WinDivert64.sys is there, but the service names another file", folder);
    }
    error_set(error, status, os_error, detail);
}
