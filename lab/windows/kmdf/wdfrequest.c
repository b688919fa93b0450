/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfrequest.h: requests.
 *
 * Theory of operation: a request lives from its IRP's dispatch to its completion, which ends both. Until the
 * driver has enqueued it (WdfDeviceEnqueueRequest), it is in the caller's context: completing it then makes
 * the program's call itself fail; later, the program has been told "pending".
 *
 * Wine 8 sends OutputBufferLength bytes of a direct buffer back to the program, whatever was written. The
 * driver completes INITIALIZE and GET_PARAM with an Information of 0 and has written the buffer all the
 * same, as is right where pages are locked; a RECV says how much it has written; all others write nothing.
 */
#include "functions.h"

IO_STACK_LOCATION *wdf_request_stack(const struct wdf_request *request)
{
    return IoGetCurrentIrpStackLocation(request->irp);
}

ULONG wdf_request_code(const struct wdf_request *request)
{
    const IO_STACK_LOCATION *stack = wdf_request_stack(request);

    return stack->MajorFunction == IRP_MJ_DEVICE_CONTROL ? stack->Parameters.DeviceIoControl.IoControlCode : 0;
}

static void request_release(struct wdf_object *object)
{
    struct wdf_request *request = CONTAINING_RECORD(object, struct wdf_request, object);

    if (request->file) {
        wdf_object_dereference(request->file);
    }
}

struct wdf_request *wdf_request_create(IRP *irp, struct wdf_file *file)
{
    struct wdf_request *request = wdf_object_create(WDF_REQUEST, sizeof(*request), NULL, NULL);

    if (!request) {
        return NULL;
    }
    request->irp = irp;
    request->process = (uint32_t)(uintptr_t)PsGetCurrentProcessId();
    request->file = file;
    request->object.release = request_release;
    if (file) {
        wdf_object_reference(file);
    }
    return request;
}

static void set_output_length(const struct wdf_request *request, NTSTATUS status, ULONG_PTR information)
{
    IO_STACK_LOCATION *stack = wdf_request_stack(request);
    ULONG code = wdf_request_code(request);
    ULONG *length = &stack->Parameters.DeviceIoControl.OutputBufferLength;

    if (!code) {
        return;
    }
    if ((code & 3) != METHOD_OUT_DIRECT) {
        *length = 0;
    } else if (code == WD_RECV || !NT_SUCCESS(status)) {
        *length = (ULONG)information;
    }
}

/*
 * Windows makes STATUS_HOPLIMIT_EXCEEDED the error 1232; Wine 8 does not know it (it gives 317). This one is
 * the same error in both.
 */
static NTSTATUS known_to_wine(NTSTATUS status)
{
    return status == STATUS_HOPLIMIT_EXCEEDED ? STATUS_HOST_UNREACHABLE : status;
}

void wdf_request_complete(struct wdf_request *request, NTSTATUS status, ULONG_PTR information)
{
    IRP *irp = request->irp;

    if (!request->enqueued && request->refused) {
        *request->refused = status;
    }
    requests_completing(request, &status, &information);
    wdf_memory_finish(request);
    set_output_length(request, status, information);
    irp->IoStatus.Status = known_to_wine(status);
    irp->IoStatus.Information = information;
    if (wdf_request_code(request)) {
        irp_finish_request(request);
    } else {
        IoCompleteRequest(irp, IO_NO_INCREMENT); /* CREATE: the main loop waits for it */
        wdf_object_delete(request);
    }
}

void NTAPI WdfRequestComplete(struct wdf_globals *globals, struct wdf_request *request, NTSTATUS status)
{
    (void)globals;
    wdf_request_complete(request, status, 0);
}

void NTAPI WdfRequestCompleteWithInformation(struct wdf_globals *globals, struct wdf_request *request, NTSTATUS status,
                                             ULONG_PTR information)
{
    (void)globals;
    wdf_request_complete(request, status, information);
}

void NTAPI WdfRequestGetParameters(struct wdf_globals *globals, struct wdf_request *request,
                                   struct wdf_parameters *parameters)
{
    const IO_STACK_LOCATION *stack = wdf_request_stack(request);

    (void)globals;
    parameters->minor = stack->MinorFunction;
    parameters->type = stack->MajorFunction; /* WDF_REQUEST_TYPE has the values of IRP_MJ_x */
    parameters->output_length = stack->Parameters.DeviceIoControl.OutputBufferLength;
    parameters->input_length = stack->Parameters.DeviceIoControl.InputBufferLength;
    parameters->code = stack->Parameters.DeviceIoControl.IoControlCode;
    parameters->type3_input = NULL;
}

NTSTATUS NTAPI WdfRequestRetrieveInputBuffer(struct wdf_globals *globals, struct wdf_request *request, size_t minimum,
                                             void **buffer, size_t *length)
{
    size_t size = wdf_request_stack(request)->Parameters.DeviceIoControl.InputBufferLength;

    (void)globals;
    if (length) {
        *length = 0;
    }
    if (size == 0 || size < minimum) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    *buffer = request->irp->AssociatedIrp.SystemBuffer;
    if (length) {
        *length = size;
    }
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI WdfRequestRetrieveOutputWdmMdl(struct wdf_globals *globals, struct wdf_request *request, MDL **mdl)
{
    (void)globals;
    *mdl = NULL;
    if (wdf_request_stack(request)->Parameters.DeviceIoControl.OutputBufferLength == 0) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    *mdl = request->irp->MdlAddress;
    return *mdl ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_REQUEST;
}

NTSTATUS NTAPI WdfRequestRetrieveOutputBuffer(struct wdf_globals *globals, struct wdf_request *request, size_t minimum,
                                              void **buffer, size_t *length)
{
    size_t size = wdf_request_stack(request)->Parameters.DeviceIoControl.OutputBufferLength;
    MDL *mdl;
    NTSTATUS status = WdfRequestRetrieveOutputWdmMdl(globals, request, &mdl);

    if (length) {
        *length = 0;
    }
    if (NT_SUCCESS(status) && size < minimum) {
        status = STATUS_BUFFER_TOO_SMALL;
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *buffer = MmGetMdlVirtualAddress(mdl);
    if (length) {
        *length = size;
    }
    return STATUS_SUCCESS;
}

struct wdf_file *NTAPI WdfRequestGetFileObject(struct wdf_globals *globals, struct wdf_request *request)
{
    (void)globals;
    return request->file;
}

IRP *NTAPI WdfRequestWdmGetIrp(struct wdf_globals *globals, struct wdf_request *request)
{
    (void)globals;
    return request->irp;
}

NTSTATUS NTAPI WdfRequestProbeAndLockUserBufferForRead(struct wdf_globals *globals, struct wdf_request *request,
                                                       void *at, size_t size, struct wdf_memory **memory)
{
    (void)globals;
    return wdf_memory_lock(request, at, size, false, memory);
}

NTSTATUS NTAPI WdfRequestProbeAndLockUserBufferForWrite(struct wdf_globals *globals, struct wdf_request *request,
                                                        void *at, size_t size, struct wdf_memory **memory)
{
    (void)globals;
    return wdf_memory_lock(request, at, size, true, memory);
}
