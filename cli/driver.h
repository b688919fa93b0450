/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file driver.h
 * The driver's entry among the services, and who uses the driver.
 */
#ifndef CLI_DRIVER_H
#define CLI_DRIVER_H

#include "tap.h"

#include <stdbool.h>
#include <winsock2.h>
#include <windows.h>
#include <winsvc.h>

struct driver_entry {
    SC_HANDLE manager, service; /**< service NULL: there is no entry, or no right to see it */
    DWORD error;                /**< why it could not be opened: ERROR_SERVICE_DOES_NOT_EXIST, ... */
    bool running, file_missing;
    wchar_t path[1024]; /**< of the driver's file */
    char file[1200];    /**< the same, UTF-8 */
};

/** `rights` beyond reading: SERVICE_STOP, DELETE. To be closed in every case. */
void driver_open(struct driver_entry *e, DWORD rights);

void driver_close(const struct driver_entry *e);

/** Stops the driver and removes its entry, which was opened with both rights. 0, or the Windows error. */
DWORD driver_remove(const struct driver_entry *e);

/** Calls `found` for each WinDivert handle of another process. False: they cannot be asked. WinDivert.dll is loaded. */
bool driver_users(void (*found)(void *context, const tap_address *address), void *context);

#endif
