/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what a request carries, besides what the framework tells the driver of it.
 */
#include "requests.h"

union input *request_input(const struct wdf_request *request)
{
    const IO_STACK_LOCATION *stack = wdf_request_stack(request);

    if (!wdf_request_code(request) || stack->Parameters.DeviceIoControl.InputBufferLength < sizeof(union input)) {
        return NULL;
    }
    return request->irp->AssociatedIrp.SystemBuffer;
}

uint32_t request_layer(const struct wdf_request *request)
{
    const union input *input = request_input(request);

    return input && wdf_request_code(request) == WD_INITIALIZE ? input->initialize.layer
                                                               : file_of(request)->handle.layer;
}

void *request_output(const struct wdf_request *request, uint32_t *length)
{
    MDL *mdl = request->irp->MdlAddress;

    *length = mdl ? MmGetMdlByteCount(mdl) : 0;
    return mdl ? MmGetMdlVirtualAddress(mdl) : NULL;
}

static bool is_open(const struct file *file)
{
    return file->handle.open && file->driver && file->driver->state == DRIVER_CONTEXT_OPEN;
}

bool request_can_recv(const struct wdf_request *request)
{
    const struct file *file = file_of(request);

    return is_open(file) && !(file->handle.flags & WD_SEND_ONLY);
}

bool request_can_send(const struct wdf_request *request)
{
    const struct file *file = file_of(request);

    return is_open(file) && !(file->handle.flags & WD_RECV_ONLY) && !file->driver->shut_send &&
           (file->handle.layer == WD_NETWORK || file->handle.layer == WD_NETWORK_FORWARD);
}
