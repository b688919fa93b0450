/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the same means as the redirector's, so that what differs is what redirection costs: four
 * overlapped receives of 64 packets and 128 KiB each, served in the order in which they were posted, one send per
 * batch, a thread of highest priority, the longest queue, the same priority among handles. Nothing of the library is
 * in here: what its own receive ring costs is to show as well.
 */
#include "pass_loop.h"

#include "worker.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVES = 4, PACKETS = 64, BUFFER = 128 * 1024, ADDRESS = 80, PRIORITY = 817, SHUTDOWN_RECV = 1 };

struct pending_receive {
    OVERLAPPED overlapped;
    uint8_t *data;
    uint8_t addresses[PACKETS * ADDRESS]; /* nobody looks into them here */
    UINT address_bytes;
};

struct pass_loop {
    HMODULE dll;
    HANDLE handle;
    struct worker worker;
    struct pending_receive receives[RECEIVES];
    uint8_t *memory;
    struct pass_loop_counts counts;
    HANDLE (*open)(const char *filter, int layer, INT16 priority, UINT64 flags);
    BOOL (*receive)(HANDLE, void *, UINT, UINT *, UINT64, void *addresses, UINT *address_bytes, OVERLAPPED *);
    BOOL (*send)(HANDLE, const void *, UINT, UINT *, UINT64, const void *addresses, UINT address_bytes, OVERLAPPED *);
    BOOL (*shutdown)(HANDLE, int how);
    BOOL (*close)(HANDLE);
    BOOL (*set)(HANDLE, int parameter, UINT64 value);
};

static bool load(struct pass_loop *l, const wchar_t *path)
{
    const struct {
        void *to;
        const char *name;
    } calls[] = {
        {&l->open, "WinDivertOpen"},         {&l->receive, "WinDivertRecvEx"}, {&l->send, "WinDivertSendEx"},
        {&l->shutdown, "WinDivertShutdown"}, {&l->close, "WinDivertClose"},    {&l->set, "WinDivertSetParam"},
    };
    l->dll = LoadLibraryW(path);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        FARPROC call = l->dll ? GetProcAddress(l->dll, calls[i].name) : NULL;
        if (!call) {
            return false;
        }
        memcpy(calls[i].to, &call, sizeof call);
    }
    return true;
}

static bool post(struct pass_loop *l, struct pending_receive *r)
{
    r->overlapped = (OVERLAPPED){.hEvent = r->overlapped.hEvent};
    r->address_bytes = sizeof r->addresses;
    return l->receive(l->handle, r->data, BUFFER, NULL, 0, r->addresses, &r->address_bytes, &r->overlapped) ||
           GetLastError() == ERROR_IO_PENDING;
}

/* Until the handle is shut down and empty. What a thread has outstanding is cancelled with it, so this one posts. */
static void pass(void *context)
{
    struct pass_loop *l = context;
    for (int i = 0; i < RECEIVES; i++) {
        if (!post(l, &l->receives[i])) {
            return;
        }
    }
    for (int head = 0;; head = (head + 1) % RECEIVES) {
        struct pending_receive *r = &l->receives[head];
        DWORD bytes;
        if (!GetOverlappedResult(l->handle, &r->overlapped, &bytes, TRUE)) {
            return;
        }
        l->counts.packets += r->address_bytes / ADDRESS;
        l->counts.batches++;
        if (!l->send(l->handle, r->data, bytes, NULL, 0, r->addresses, r->address_bytes, NULL)) {
            l->counts.send_errors++;
        }
        if (!post(l, r)) {
            return;
        }
    }
}

static bool make_receives(struct pass_loop *l)
{
    l->memory = VirtualAlloc(NULL, (size_t)RECEIVES * BUFFER, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    for (size_t i = 0; l->memory && i < RECEIVES; i++) {
        l->receives[i].data = l->memory + i * BUFFER;
        l->receives[i].overlapped.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
        if (!l->receives[i].overlapped.hEvent) {
            return false;
        }
    }
    return l->memory != NULL;
}

static void release(struct pass_loop *l)
{
    if (l->handle && l->handle != INVALID_HANDLE_VALUE) {
        l->close(l->handle);
    }
    for (int i = 0; i < RECEIVES; i++) {
        if (l->receives[i].overlapped.hEvent) {
            CloseHandle(l->receives[i].overlapped.hEvent);
        }
    }
    if (l->memory) {
        VirtualFree(l->memory, 0, MEM_RELEASE);
    }
    if (l->dll) {
        FreeLibrary(l->dll);
    }
    free(l);
}

struct pass_loop *pass_loop_open(const wchar_t *dll, const char *filter)
{
    static const UINT64 most[] = {16384, 16000, 33554432}; /* of the driver's queue: packets, milliseconds, bytes */
    struct pass_loop *l = calloc(1, sizeof *l);
    if (!l) {
        SetLastError(ERROR_OUTOFMEMORY);
        return NULL;
    }
    bool ready = load(l, dll) && make_receives(l);
    if (ready) {
        l->handle = l->open(filter, 0, PRIORITY, 0);
        ready = l->handle != INVALID_HANDLE_VALUE;
    }
    for (int i = 0; ready && i < 3; i++) {
        l->set(l->handle, i, most[i]);
    }
    if (!ready || !worker_start(&l->worker, pass, l)) {
        DWORD why = GetLastError();
        release(l);
        SetLastError(why);
        return NULL;
    }
    SetThreadPriority(l->worker.thread, THREAD_PRIORITY_HIGHEST);
    return l;
}

void pass_loop_close(struct pass_loop *l, struct pass_loop_counts *counts)
{
    l->shutdown(l->handle, SHUTDOWN_RECV);
    worker_end(&l->worker);
    if (counts) {
        *counts = l->counts;
    }
    release(l);
}
