/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * WinDivert for the program itself. The library has loaded the DLL, by absolute path and checked, and keeps it while
 * a redirector runs; here that very module is used, so nothing is searched for or loaded a second time.
 */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

enum { SHUT_RECEIVE = 1 };
enum { QUEUE_LENGTH = 0, QUEUE_TIME = 1, QUEUE_SIZE = 2 };

struct tap_handle {
    HMODULE module;
    HANDLE handle;
    BOOL (*receive)(HANDLE, void *, unsigned, unsigned *, tap_address *);
    BOOL (*send)(HANDLE, const void *, unsigned, unsigned *, const tap_address *);
    BOOL (*shutdown)(HANDLE, int);
    BOOL (*close)(HANDLE);
};

static bool find_function(const struct tap_handle *h, const char *name, void *function)
{
    FARPROC found = GetProcAddress(h->module, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static bool open_handle(struct tap_handle *h, const char *filter, enum tap_layer layer, int16_t priority,
                        uint64_t flags)
{
    HANDLE (*open)(const char *, int, int16_t, uint64_t);
    BOOL (*set)(HANDLE, int, uint64_t);
    if (!GetModuleHandleExW(0, L"WinDivert.dll", &h->module) || !find_function(h, "WinDivertOpen", &open) ||
        !find_function(h, "WinDivertSetParam", &set) || !find_function(h, "WinDivertRecv", &h->receive) ||
        !find_function(h, "WinDivertSend", &h->send) || !find_function(h, "WinDivertShutdown", &h->shutdown) ||
        !find_function(h, "WinDivertClose", &h->close)) {
        return false;
    }
    h->handle = open(filter, (int)layer, priority, flags);
    if (!h->handle) { /* out of memory */
        h->handle = INVALID_HANDLE_VALUE;
    }
    if (h->handle == INVALID_HANDLE_VALUE) {
        return false;
    }
    set(h->handle, QUEUE_LENGTH, 16384); /* the largest there are: what overflows is lost without a trace */
    set(h->handle, QUEUE_TIME, 16000);
    set(h->handle, QUEUE_SIZE, 32u << 20);
    return true;
}

struct tap_handle *tap_open(const char *filter, enum tap_layer layer, int16_t priority, uint64_t flags)
{
    struct tap_handle *h = calloc(1, sizeof *h);
    if (!h) {
        return NULL;
    }
    h->handle = INVALID_HANDLE_VALUE;
    if (!open_handle(h, filter, layer, priority, flags)) {
        DWORD error = GetLastError();
        tap_close(h);
        SetLastError(error);
        return NULL;
    }
    return h;
}

bool tap_receive(struct tap_handle *h, void *packet, uint32_t size, uint32_t *length, tap_address *address)
{
    unsigned got = 0;
    while (!h->receive(h->handle, packet, size, &got, address)) {
        if (GetLastError() != ERROR_INSUFFICIENT_BUFFER) { /* that one was cut; the others are not */
            return false;
        }
    }
    *length = got;
    return true;
}

void tap_send(struct tap_handle *h, const void *packet, uint32_t length, const tap_address *address)
{
    h->send(h->handle, packet, length, NULL, address);
}

void tap_end(struct tap_handle *h)
{
    if (h) {
        h->shutdown(h->handle, SHUT_RECEIVE);
    }
}

void tap_close(struct tap_handle *h)
{
    if (!h) {
        return;
    }
    if (h->handle != INVALID_HANDLE_VALUE) {
        h->close(h->handle);
    }
    if (h->module) {
        FreeLibrary(h->module);
    }
    free(h);
}
