/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdffileobject.h, and the callbacks that WDF_FILEOBJECT_CONFIG names.
 *
 * Theory of operation: CREATE makes a file object and shows it to the driver with a request, which the
 * driver completes before it returns. If it fails, the file goes without cleanup and close. Wine 8 sends
 * no IRP_MJ_CLEANUP, only IRP_MJ_CLOSE when the last handle is gone, so cleanup, close and deletion come
 * one after the other. The requests that are still around have a reference to the file each: its
 * destruction comes after the last of them, as on Windows.
 */
#include "functions.h"

static void file_release(struct wdf_object *object)
{
    requests_destroyed(CONTAINING_RECORD(object, struct wdf_file, object)->opened);
}

NTSTATUS wdf_file_open(struct wdf_device *device, IRP *irp, struct file *opened, struct wdf_file **created)
{
    struct wdf_file *file = wdf_object_create(WDF_FILE, sizeof(*file), &device->file_attributes, device);
    struct wdf_request *request;
    NTSTATUS status;

    if (!file) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    file->wdm = IoGetCurrentIrpStackLocation(irp)->FileObject;
    request = wdf_request_create(irp, file);
    if (!request) {
        wdf_object_delete(file);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *created = file;
    file->opened = opened;
    file->object.release = file_release;
    device->refused = STATUS_PENDING;
    request->refused = &device->refused;
    device->file_config.create(device, request, file);
    status = device->refused;
    if (!NT_SUCCESS(status)) {
        wdf_object_delete(file);
    }
    return status;
}

void wdf_file_close(struct wdf_file *file)
{
    const struct wdf_file_config *config = &kmdf_device->file_config;

    if (config->cleanup) {
        config->cleanup(file);
    }
    if (config->close) {
        config->close(file);
    }
    wdf_object_delete(file);
}
