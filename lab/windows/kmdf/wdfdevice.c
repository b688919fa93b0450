/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfdevice.h and wdfcontrol.h: the control device.
 *
 * Theory of operation: WDFDEVICE_INIT collects what WdfDeviceCreate needs. The names that the driver passes
 * lie on the stack of its DriverEntry, so they are copied. The security descriptor is not enforced: every
 * program of the lab is an administrator. File objects' attributes and callbacks, and the callback in the
 * caller's context, go into the device.
 */
#include "functions.h"

struct wdf_device_init {
    ULONG type;
    int io_type;
    UNICODE_STRING name;
    struct wdf_file_config file_config;
    struct wdf_attributes file_attributes;
    wdf_caller_fn *in_caller_context;
};

enum { WDF_IO_DIRECT = 3 }; /* WdfDeviceIoDirect */

struct wdf_device *kmdf_device;

static NTSTATUS copy_string(UNICODE_STRING *copy, const UNICODE_STRING *string)
{
    WCHAR *text = lab_allocate(string->Length + sizeof(*text));

    if (!text) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    memcpy(text, string->Buffer, string->Length);
    lab_free(copy->Buffer);
    copy->Buffer = text;
    copy->Length = string->Length;
    copy->MaximumLength = string->Length + sizeof(*text);
    return STATUS_SUCCESS;
}

struct wdf_device_init *NTAPI WdfControlDeviceInitAllocate(struct wdf_globals *globals, struct wdf_driver *driver,
                                                           const UNICODE_STRING *sddl)
{
    (void)globals;
    (void)driver;
    (void)sddl;
    return lab_allocate(sizeof(struct wdf_device_init));
}

void NTAPI WdfDeviceInitFree(struct wdf_globals *globals, struct wdf_device_init *init)
{
    (void)globals;
    if (!init) {
        return;
    }
    lab_free(init->name.Buffer);
    lab_free(init);
}

void NTAPI WdfDeviceInitSetIoType(struct wdf_globals *globals, struct wdf_device_init *init, int type)
{
    (void)globals;
    init->io_type = type;
}

void NTAPI WdfDeviceInitSetDeviceType(struct wdf_globals *globals, struct wdf_device_init *init, ULONG type)
{
    (void)globals;
    init->type = type;
}

NTSTATUS NTAPI WdfDeviceInitAssignName(struct wdf_globals *globals, struct wdf_device_init *init,
                                       const UNICODE_STRING *name)
{
    (void)globals;
    return copy_string(&init->name, name);
}

void NTAPI WdfDeviceInitSetFileObjectConfig(struct wdf_globals *globals, struct wdf_device_init *init,
                                            const struct wdf_file_config *config,
                                            const struct wdf_attributes *attributes)
{
    (void)globals;
    init->file_config = *config;
    if (attributes) {
        init->file_attributes = *attributes;
    }
}

void NTAPI WdfDeviceInitSetIoInCallerContextCallback(struct wdf_globals *globals, struct wdf_device_init *init,
                                                     wdf_caller_fn *callback)
{
    (void)globals;
    init->in_caller_context = callback;
}

static void device_release(struct wdf_object *object)
{
    struct wdf_device *device = CONTAINING_RECORD(object, struct wdf_device, object);

    if (device->link.Buffer) {
        IoDeleteSymbolicLink(&device->link);
    }
    if (device->wdm) {
        IoDeleteDevice(device->wdm);
    }
    lab_free(device->link.Buffer);
    lab_free(device->name.Buffer);
    kmdf_device = NULL;
}

NTSTATUS NTAPI WdfDeviceCreate(struct wdf_globals *globals, struct wdf_device_init **at,
                               const struct wdf_attributes *attributes, struct wdf_device **created)
{
    struct wdf_device_init *init = *at;
    struct wdf_device *device;
    NTSTATUS status;

    if (kmdf_device) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    device = wdf_object_create(WDF_DEVICE, sizeof(*device), attributes, kmdf_driver);
    if (!device) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    device->object.release = device_release;
    status = IoCreateDevice(kmdf_driver->wdm, 0, &init->name, init->type, 0, FALSE, &device->wdm);
    if (!NT_SUCCESS(status)) {
        lab_log("framework: no device %S: %x", init->name.Buffer, (uint32_t)status);
        device->wdm = NULL;
        wdf_object_delete(device);
        return status;
    }
    if (init->io_type == WDF_IO_DIRECT) {
        device->wdm->Flags |= DO_DIRECT_IO;
    }
    device->name = init->name;
    device->file_config = init->file_config;
    device->file_attributes = init->file_attributes;
    device->in_caller_context = init->in_caller_context;
    init->name.Buffer = NULL;
    WdfDeviceInitFree(globals, init);
    *at = NULL;
    *created = kmdf_device = device;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI WdfDeviceCreateSymbolicLink(struct wdf_globals *globals, struct wdf_device *device,
                                           const UNICODE_STRING *name)
{
    UNICODE_STRING link = {0};
    NTSTATUS status = copy_string(&link, name);

    (void)globals;
    if (NT_SUCCESS(status)) {
        status = IoCreateSymbolicLink(&link, &device->name);
    }
    if (NT_SUCCESS(status)) {
        device->link = link;
    } else {
        lab_free(link.Buffer);
    }
    return status;
}

void NTAPI WdfControlFinishInitializing(struct wdf_globals *globals, struct wdf_device *device)
{
    (void)globals;
    device->wdm->Flags &= ~DO_DEVICE_INITIALIZING;
}

DEVICE_OBJECT *NTAPI WdfDeviceWdmGetDeviceObject(struct wdf_globals *globals, struct wdf_device *device)
{
    (void)globals;
    return device->wdm;
}

struct wdf_driver *NTAPI WdfDeviceGetDriver(struct wdf_globals *globals, struct wdf_device *device)
{
    (void)globals;
    (void)device;
    return kmdf_driver;
}

NTSTATUS wdf_device_dispatch(struct wdf_device *device, struct wdf_request *request)
{
    device->refused = STATUS_PENDING;
    request->refused = &device->refused;
    if (device->in_caller_context) {
        device->in_caller_context(device, request);
    } else {
        WdfDeviceEnqueueRequest(NULL, device, request);
    }
    return device->refused; /* the request may be gone */
}

void wdf_device_present(struct wdf_device *device, struct wdf_request *request)
{
    const IO_STACK_LOCATION *stack = wdf_request_stack(request);

    device->queue->config.control(device->queue, request, stack->Parameters.DeviceIoControl.OutputBufferLength,
                                  stack->Parameters.DeviceIoControl.InputBufferLength,
                                  stack->Parameters.DeviceIoControl.IoControlCode);
}

/* From here on the request ends asynchronously, however soon. */
NTSTATUS NTAPI WdfDeviceEnqueueRequest(struct wdf_globals *globals, struct wdf_device *device,
                                       struct wdf_request *request)
{
    (void)globals;
    if (!device->queue || !device->queue->config.control || !wdf_request_code(request)) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    IoMarkIrpPending(request->irp);
    request->enqueued = true;
    requests_present(request);
    return STATUS_SUCCESS;
}
