/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfdriver.h: the driver object.
 *
 * Theory of operation: there is one driver. Creating it starts the framework's threads and takes over the
 * routines of the WDM driver object. Its unloading comes from Wine when the service is stopped, with files
 * possibly open, which Windows would wait for: they are closed first. Then the driver's unload callback is
 * called, the device goes with all that is left below it, and the threads end.
 */
#include "functions.h"

struct wdf_driver *kmdf_driver;

bool kmdf_start(void)
{
    return wdf_objects_start() && wdf_workitems_start() && completions_start();
}

/* What has been left to a thread is done before it ends, in the order in which one leads to the other. */
void kmdf_stop(void)
{
    wdf_workitems_stop();
    wdf_objects_stop();
    completions_stop();
}

static void end(bool unload)
{
    requests_stop();
    if (unload && kmdf_driver->config.unload) {
        kmdf_driver->config.unload(kmdf_driver);
    }
    wdf_object_delete(kmdf_driver);
    kmdf_driver = NULL;
    kmdf_stop();
    wire_flush();
    wire_close();
}

static void NTAPI driver_unload(DRIVER_OBJECT *wdm)
{
    (void)wdm;
    end(true);
}

/* Its DriverEntry has failed: Wine frees the module without asking it. */
void kmdf_unbind(void)
{
    if (kmdf_driver) {
        end(false);
    }
}

NTSTATUS NTAPI WdfDriverCreate(struct wdf_globals *globals, DRIVER_OBJECT *wdm, const UNICODE_STRING *registry_path,
                               const struct wdf_attributes *attributes, const struct wdf_driver_config *config,
                               struct wdf_driver **driver)
{
    (void)registry_path;
    if (kmdf_driver) {
        return STATUS_DRIVER_INTERNAL_ERROR;
    }
    if (!kmdf_start() || !requests_start(wdm)) {
        kmdf_stop();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    kmdf_driver = wdf_object_create(WDF_DRIVER, sizeof(*kmdf_driver), attributes, NULL);
    if (!kmdf_driver) {
        requests_stop();
        kmdf_stop();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    kmdf_driver->wdm = wdm;
    kmdf_driver->config = *config;
    globals->driver = kmdf_driver;
    wdm->DriverUnload = driver_unload;
    if (driver) {
        *driver = kmdf_driver;
    }
    return STATUS_SUCCESS;
}

DRIVER_OBJECT *NTAPI WdfDriverWdmGetDriverObject(struct wdf_globals *globals, struct wdf_driver *driver)
{
    (void)globals;
    return driver->wdm;
}

/*
 * The framework's unload routine for miniport drivers. It is here because the code that the driver has been
 * linked with names it; it is called only if WDF_DRIVER_GLOBALS does not displace the driver's own.
 */
void NTAPI WdfDriverMiniportUnload(struct wdf_globals *globals, struct wdf_driver *driver)
{
    (void)globals;
    (void)driver;
}
