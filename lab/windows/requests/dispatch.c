/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Wine's requests on their way to the driver. Wine dispatches them one after the other,
 * on one thread. A CREATE that fails is not reported to the program, so the first I/O control of a file that
 * has none here fails. Requests that a fault has kept come back on another thread, and unloading closes
 * files there; `presenting` makes all of that one at a time, so that no request is presented to a file that
 * is being closed.
 *
 * The daemon gets ready to capture before a handle of layer NETWORK opens (LAB_OPENING): when STARTUP has
 * completed, the first packet must not pass by.
 */
#include "requests.h"

#include "../runtime/thread.h"

struct mutex presenting;

static NTSTATUS end(IRP *irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static struct file *make_file(void)
{
    uint32_t process = (uint32_t)(uintptr_t)PsGetCurrentProcessId();
    struct lab_process record = {.head = {LAB_PROCESS, sizeof(record)}, .windows_pid = process};

    if (!wire_open() || !wire_call(&record, NULL, 0)) {
        return NULL;
    }
    return file_create(process, record.linux_pid);
}

static void note_opened(struct file *file, struct wdf_file *wdf)
{
    struct driver_context *driver = wdf_object_context(wdf, sizeof(*driver));

    file->wdf = wdf;
    file->driver = driver;
    file->handle.context = driver;
    if (!driver) {
        lab_log("requests: the driver's context of a file has another size than known");
        return;
    }
    file->queue = driver->read_queue;
    file->queue->file = file;
    wdf_object_reference(file->queue);
    file->max_length = driver->packet_queue_max_length;
    limit_apply(file);
}

static NTSTATUS NTAPI dispatch_create(DEVICE_OBJECT *device, IRP *irp)
{
    FILE_OBJECT *object = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct file *file = make_file();
    struct wdf_file *wdf = NULL;
    NTSTATUS status;

    (void)device;
    object->FsContext = NULL;
    if (!file) {
        return end(irp, STATUS_DEVICE_NOT_CONNECTED);
    }
    status = wdf_file_open(kmdf_device, irp, file, &wdf);
    if (NT_SUCCESS(status)) {
        note_opened(file, wdf);
        object->FsContext = file;
        return status;
    }
    lab_log("requests: a CREATE fails with %x", (uint32_t)status);
    file_release(file);
    if (!wdf) { /* the driver was not asked */
        requests_destroyed(file);
        end(irp, status);
    }
    return status;
}

void close_towards_driver(struct file *file, NTSTATUS status)
{
    struct wdf_file *wdf = file->wdf;
    struct wdf_request *request;

    if (!wdf) {
        return;
    }
    file->wdf = NULL;
    file->refusal = status;
    file->handle.open = false;
    hold_end(file, STATUS_CANCELLED);
    while (status == STATUS_DEVICE_NOT_CONNECTED && file->queue &&
           (request = wdf_queue_take(file->queue, NULL, NULL)) != NULL) {
        wdf_request_complete(request, status, 0);
    }
    wdf_file_close(wdf);
    tell_closed(file);
}

static NTSTATUS NTAPI dispatch_close(DEVICE_OBJECT *device, IRP *irp)
{
    FILE_OBJECT *object = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct file *file = object->FsContext;

    (void)device;
    if (file) {
        mutex_lock(&presenting);
        object->FsContext = NULL;
        close_towards_driver(file, STATUS_CANCELLED);
        mutex_unlock(&presenting);
        file_release(file);
    }
    return end(irp, STATUS_SUCCESS);
}

/* As with the driver, whose program has been told "pending" before it is asked. */
static NTSTATUS end_pending(IRP *irp, NTSTATUS status)
{
    IoMarkIrpPending(irp);
    IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength = 0;
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    irp_finish(irp);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI dispatch_ioctl(DEVICE_OBJECT *device, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct file *file = stack->FileObject->FsContext;
    struct wdf_request *request = NULL;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    (void)device;
    if (!file) {
        stack->Parameters.DeviceIoControl.OutputBufferLength = 0;
        return end(irp, STATUS_DEVICE_NOT_CONNECTED);
    }
    mutex_lock(&presenting);
    if (file->wdf) {
        request = wdf_request_create(irp, file->wdf);
    }
    if (request) {
        faults_prepare(request);
        status = wdf_device_dispatch(kmdf_device, request);
    } else {
        status = end_pending(irp, file->wdf ? status : file->refusal);
    }
    mutex_unlock(&presenting);
    return status;
}

/* Handles that are given packets, or that prevent what sockets do. */
static bool must_announce(const struct wdf_request *request)
{
    const struct handle *handle = &file_of(request)->handle;

    return handle->layer == WD_NETWORK || (handle->layer == WD_SOCKET && !(handle->flags & WD_SNIFF));
}

static bool announce(const struct wdf_request *request)
{
    const struct file *file = file_of(request);
    const union input *input = request_input(request);
    uint32_t length;
    const void *filter = request_output(request, &length);
    struct lab_opening record = {
        .head = {LAB_OPENING, sizeof(record)},
        .layer = file->handle.layer,
        .tests = length / sizeof(struct wd_filter_object),
        .matches = input->startup.matches,
    };

    /* What is too long, or no filter at all, the driver refuses. */
    if (!file->handle.initialized || length > WD_FILTER_MAX * sizeof(struct wd_filter_object)) {
        return true;
    }
    return wire_call(&record.head, filter, length);
}

void present(struct wdf_request *request)
{
    ULONG code = wdf_request_code(request);
    struct thread_state *state = NULL;

    if (code == WD_STARTUP && must_announce(request) && !announce(request)) {
        wdf_request_complete(request, STATUS_DEVICE_NOT_CONNECTED, 0);
        return;
    }
    if (code == WD_SEND) {
        state = thread_state();
        if (state) {
            state->send = request;
        }
    }
    wdf_device_present(kmdf_device, request);
    if (state) {
        state->send = NULL;
    }
}

bool requests_start(DRIVER_OBJECT *driver)
{
    if (!hold_start() || !jobs_of_requests_start()) {
        return false;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_create;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_ioctl;
    return true;
}
