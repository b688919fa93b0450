/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * fwpkclnt.sys: a module without a single export. The driver is linked with it, so Wine wants to load it;
 * the functions are put into the driver's import table by our WDFLDR.SYS, which has them (kmdf/wdfldr.c).
 */
#include <ddk/wdm.h>

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    (void)driver;
    (void)registry_path;
    return TRUE; /* Wine loads it as it does a DLL */
}
