// SPDX-License-Identifier: LGPL-3.0-or-later
//
// WinDivert64.sys of the lab: what the genuine WinDivert.dll talks to under Wine.
//
// Theory of operation: a forwarder. Every CREATE, CLOSE and DEVICE_CONTROL becomes a message to
// windivert-labd, which knows all semantics. A request that the daemon leaves pending stands in
// `pending` until its final reply arrives; a cancelled one stays there too, because only the
// daemon ends requests (it answers a CANCEL with the final reply). Every request has an id of its
// own, so a late CANCEL never hits a newer request that happens to reuse the memory of an IRP.
//
// Wine 8 sends no IRP_MJ_CLEANUP, only IRP_MJ_CLOSE after the last handle is gone, with requests
// possibly pending; the daemon completes those when it sees the CLOSE. A failed CREATE does not
// reach the caller, so the first DEVICE_CONTROL of such a file must fail: the daemon does not
// know the file, or there is no daemon.
#include <ddk/wdm.h>

#include "link.h"
#include "linux.h"

// Missing in mingw's wdm.h. In a dispatch routine Wine answers with the caller's process.
HANDLE NTAPI PsGetCurrentProcessId(void);

static DEVICE_OBJECT *device;
static struct mutex pending_lock;
static LIST_ENTRY pending = {&pending, &pending}; // linked by irp->Tail.Overlay.ListEntry
static uint64_t last_id;

// The compiler may call these for struct copies; there is no C library to provide them.
void *memset(void *to, int value, size_t size)
{
    void *result = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *result = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

static IRP *irp_of_entry(LIST_ENTRY *entry)
{
    return CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
}

static uint64_t *irp_id(IRP *irp)
{
    return (uint64_t *)&irp->Tail.Overlay.DriverContext[0];
}

static uint64_t pending_add(IRP *irp)
{
    LIST_ENTRY *entry = &irp->Tail.Overlay.ListEntry;
    uint64_t id;

    mutex_lock(&pending_lock);
    id = *irp_id(irp) = ++last_id;
    entry->Flink = &pending;
    entry->Blink = pending.Blink;
    pending.Blink->Flink = entry;
    pending.Blink = entry;
    mutex_unlock(&pending_lock);
    return id;
}

// Takes the request with this id (0: any) off the list; whoever gets it completes it.
static IRP *pending_take(uint64_t id)
{
    IRP *found = NULL;

    mutex_lock(&pending_lock);
    for (LIST_ENTRY *entry = pending.Flink; entry != &pending; entry = entry->Flink) {
        if (id && *irp_id(irp_of_entry(entry)) != id)
            continue;
        entry->Blink->Flink = entry->Flink;
        entry->Flink->Blink = entry->Blink;
        found = irp_of_entry(entry);
        break;
    }
    mutex_unlock(&pending_lock);
    return found;
}

static NTSTATUS irp_complete(IRP *irp, NTSTATUS status, ULONG information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static void ioctl_complete(IRP *irp, NTSTATUS status, ULONG information)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    bool returns_data = (stack->Parameters.DeviceIoControl.IoControlCode & 3) == METHOD_OUT_DIRECT;

    IoSetCancelRoutine(irp, NULL);
    // Wine sends OutputBufferLength bytes back to the caller, whatever was produced.
    stack->Parameters.DeviceIoControl.OutputBufferLength = returns_data ? information : 0;
    irp_complete(irp, status, information);
}

static void complete_pending(const struct lab_reply *reply)
{
    IRP *irp = pending_take(reply->id);

    if (irp)
        ioctl_complete(irp, (NTSTATUS)reply->status, reply->information);
}

static void fail_all_pending(void)
{
    IRP *irp;

    while ((irp = pending_take(0)) != NULL)
        ioctl_complete(irp, STATUS_DEVICE_NOT_CONNECTED, 0);
}

static void NTAPI cancel_ioctl(DEVICE_OBJECT *target, IRP *irp)
{
    struct lab_request request = {.op = LAB_CANCEL};

    (void)target;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    // The request may be completed meanwhile: its memory is looked at only while it is listed.
    mutex_lock(&pending_lock);
    for (LIST_ENTRY *entry = pending.Flink; entry != &pending; entry = entry->Flink) {
        if (irp_of_entry(entry) == irp)
            request.id = *irp_id(irp);
    }
    mutex_unlock(&pending_lock);
    if (request.id)
        link_notify(&request);
}

static struct lab_request request_for(enum lab_op op, const IO_STACK_LOCATION *stack)
{
    struct lab_request request = {
        .op = op,
        .windows_pid = (uint32_t)(uintptr_t)PsGetCurrentProcessId(),
        .file = (uintptr_t)stack->FileObject,
    };

    return request;
}

static NTSTATUS NTAPI dispatch_create(DEVICE_OBJECT *target, IRP *irp)
{
    struct lab_request request = request_for(LAB_CREATE, IoGetCurrentIrpStackLocation(irp));
    struct lab_reply reply;

    (void)target;
    if (!link_open() || !link_call(&request, &reply))
        return irp_complete(irp, STATUS_DEVICE_NOT_CONNECTED, 0);
    return irp_complete(irp, (NTSTATUS)reply.status, 0);
}

static NTSTATUS NTAPI dispatch_close(DEVICE_OBJECT *target, IRP *irp)
{
    struct lab_request request = request_for(LAB_CLOSE, IoGetCurrentIrpStackLocation(irp));

    (void)target;
    link_notify(&request);
    return irp_complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI dispatch_ioctl(DEVICE_OBJECT *target, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    struct lab_request request = request_for(LAB_IOCTL, stack);
    struct lab_reply reply;
    ULONG carried;

    (void)target;
    request.code = stack->Parameters.DeviceIoControl.IoControlCode;
    request.input_len = carried = stack->Parameters.DeviceIoControl.InputBufferLength;
    if (carried > sizeof(request.input))
        carried = sizeof(request.input);
    memcpy(request.input, irp->AssociatedIrp.SystemBuffer, carried);
    if (irp->MdlAddress) {
        request.buffer = (uintptr_t)MmGetMdlVirtualAddress(irp->MdlAddress);
        request.buffer_len = stack->Parameters.DeviceIoControl.OutputBufferLength;
    }

    IoMarkIrpPending(irp);
    request.id = pending_add(irp);
    IoSetCancelRoutine(irp, cancel_ioctl);
    if (!link_call(&request, &reply)) {
        reply.status = STATUS_DEVICE_NOT_CONNECTED;
        reply.information = 0;
        reply.refused = 1;
    }
    if (reply.status == STATUS_PENDING)
        return STATUS_PENDING;
    // Gone if the link was lost and its thread has failed it.
    irp = pending_take(request.id);
    if (!irp)
        return STATUS_PENDING;
    // A framework driver marks every request pending but those it refuses in the caller's context.
    if (reply.refused)
        stack->Control &= ~SL_PENDING_RETURNED;
    ioctl_complete(irp, (NTSTATUS)reply.status, reply.information);
    return reply.refused ? (NTSTATUS)reply.status : STATUS_PENDING;
}

static void NTAPI driver_unload(DRIVER_OBJECT *driver)
{
    UNICODE_STRING link;

    (void)driver;
    link_close();
    RtlInitUnicodeString(&link, L"\\DosDevices\\WinDivert");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(device);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    UNICODE_STRING name, link;
    NTSTATUS status;

    (void)registry_path;
    RtlInitUnicodeString(&name, L"\\Device\\WinDivert");
    RtlInitUnicodeString(&link, L"\\DosDevices\\WinDivert");
    status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_NETWORK, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    device->Flags |= DO_DIRECT_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    link_init(complete_pending, fail_all_pending);
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_create;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_ioctl;
    driver->DriverUnload = driver_unload;
    return STATUS_SUCCESS;
}
