/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the memory of the program that has made a request, for addresses that it has passed
 * in a structure. It is read and written by Linux (process_vm_readv, process_vm_writev), whose pid for the
 * program the daemon knows; without one, by way of the wineserver, which takes three times as long.
 */
#include "requests.h"

enum { PAGE = 4096, PAGES_MAX = 8 };

struct client_id {
    HANDLE process, thread;
};

/* Missing in mingw's headers for drivers. */
NTSTATUS NTAPI NtReadVirtualMemory(HANDLE process, const void *at, void *buffer, SIZE_T size, SIZE_T *done);
NTSTATUS NTAPI NtWriteVirtualMemory(HANDLE process, void *at, const void *buffer, SIZE_T size, SIZE_T *done);
NTSTATUS NTAPI NtOpenProcess(HANDLE *process, ACCESS_MASK access, OBJECT_ATTRIBUTES *attributes, struct client_id *id);
NTSTATUS NTAPI NtClose(HANDLE handle);

static int32_t linux_process(const struct wdf_request *request)
{
    const struct file *file = file_of(request);
    struct lab_process record = {.head = {LAB_PROCESS, sizeof(record)}, .windows_pid = request->process};

    if (file && file->handle.owner == request->process) {
        return file->handle.owner_linux;
    }
    return wire_call(&record, NULL, 0) ? record.linux_pid : -1; /* it has inherited the handle */
}

static NTSTATUS copy_by_wine(const struct wdf_request *request, uint64_t at, void *buffer, size_t size, bool write)
{
    enum { ACCESS = 0x38 }; /* PROCESS_VM_OPERATION | PROCESS_VM_READ | PROCESS_VM_WRITE */
    struct client_id id = {(HANDLE)(uintptr_t)request->process, NULL};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof(attributes)};
    HANDLE process;
    SIZE_T done;
    NTSTATUS status = NtOpenProcess(&process, ACCESS, &attributes, &id);

    if (!NT_SUCCESS(status)) {
        return STATUS_ACCESS_VIOLATION;
    }
    status = write ? NtWriteVirtualMemory(process, (void *)at, buffer, size, &done)
                   : NtReadVirtualMemory(process, (const void *)at, buffer, size, &done);
    NtClose(process);
    return NT_SUCCESS(status) && done == size ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION;
}

static NTSTATUS copy_by_linux(int32_t process, const struct linux_iovec *here, const struct linux_iovec *there,
                              unsigned parts, bool write)
{
    uint64_t size = 0;
    int64_t done;

    for (unsigned i = 0; i < parts; i++) {
        size += here[i].length;
    }
    done = linux_call6(write ? LINUX_PROCESS_VM_WRITEV : LINUX_PROCESS_VM_READV, process, (int64_t)here, parts,
                       (int64_t)there, parts, 0);
    return done == (int64_t)size ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION;
}

NTSTATUS client_copy(const struct wdf_request *request, uint64_t at, void *buffer, size_t size, bool write)
{
    struct linux_iovec here = {(uint64_t)buffer, size}, there = {at, size};
    int32_t process = linux_process(request);

    if (process <= 0) {
        return copy_by_wine(request, at, buffer, size, write);
    }
    return copy_by_linux(process, &here, &there, 1, write);
}

/*
 * Whether it can be written is found out by writing a byte of each page back. The program waits in its call,
 * so nobody else is writing there.
 */
NTSTATUS client_probe(const struct wdf_request *request, uint64_t at, void *buffer, size_t size)
{
    struct linux_iovec here[PAGES_MAX], there[PAGES_MAX];
    int32_t process;
    NTSTATUS status;
    uint64_t byte = at;

    if (at == CLIENT_NOWHERE) {
        return STATUS_SUCCESS;
    }
    process = linux_process(request);
    status = client_copy(request, at, buffer, size, false);

    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (process <= 0) {
        return copy_by_wine(request, at, buffer, size, true);
    }
    while (byte < at + size) {
        unsigned parts = 0;

        for (; parts < PAGES_MAX && byte < at + size; parts++) {
            there[parts] = (struct linux_iovec){byte, 1};
            here[parts] = (struct linux_iovec){(uint64_t)buffer + (byte - at), 1};
            byte = (byte | (PAGE - 1)) + 1;
        }
        status = copy_by_linux(process, here, there, parts, true);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}
