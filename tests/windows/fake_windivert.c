/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See fake_windivert.h. One handle at a time. */
#include "fake_windivert.h"

#include <stdio.h>
#include <string.h>

#define EXPORT __declspec(dllexport)
#define STATUS_CANCELLED_VALUE 0xC0000120u

struct request {
    OVERLAPPED *overlapped;
    uint8_t *data;
    UINT bytes;
    struct divert_address *addresses;
    UINT *address_bytes;
};

static struct fake_state state;
static struct request pending[FAKE_PENDING_MAX];
static unsigned pending_count;
static OVERLAPPED *pending_send;
static SRWLOCK lock = SRWLOCK_INIT;
static HANDLE current;

EXPORT struct fake_state *fake_reset(void);
EXPORT bool fake_complete(uint32_t first, uint32_t count);
EXPORT bool fake_fail(uint32_t status);
EXPORT HANDLE WinDivertOpen(const char *filter, int layer, int16_t priority, uint64_t flags);
EXPORT BOOL WinDivertRecvEx(HANDLE handle, void *data, UINT bytes, UINT *received, uint64_t flags,
                            struct divert_address *addresses, UINT *address_bytes, OVERLAPPED *overlapped);
EXPORT BOOL WinDivertSendEx(HANDLE handle, const void *data, UINT bytes, UINT *sent, uint64_t flags,
                            const struct divert_address *addresses, UINT address_bytes, OVERLAPPED *overlapped);
EXPORT BOOL WinDivertShutdown(HANDLE handle, int how);
EXPORT BOOL WinDivertClose(HANDLE handle);
EXPORT BOOL WinDivertSetParam(HANDLE handle, int param, uint64_t value);
EXPORT BOOL WinDivertGetParam(HANDLE handle, int param, uint64_t *value);
EXPORT BOOL WinDivertHelperFormatFilter(const char *filter, int layer, char *text, UINT bytes);
#ifdef OLD_VERSION
EXPORT void WinDivertHelperNtohIpv6Address(void);
void WinDivertHelperNtohIpv6Address(void)
{
}
#else
EXPORT void WinDivertHelperNtohIPv6Address(void);
void WinDivertHelperNtohIPv6Address(void)
{
}
#endif

struct fake_state *fake_reset(void)
{
    state = (struct fake_state){.version_major = 2, .version_minor = 2};
    pending_count = 0;
    pending_send = NULL;
    current = NULL;
    return &state;
}

static void finish(OVERLAPPED *overlapped, uint32_t status, UINT bytes)
{
    overlapped->InternalHigh = bytes;
    overlapped->Internal = status;
    SetEvent(overlapped->hEvent);
}

static void fill(const struct request *r, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        r->addresses[i] = (struct divert_address){.layer = (uint8_t)state.layer, .network.if_index = first + i};
        if (r->data) {
            memset(r->data + i * FAKE_PACKET_BYTES, 0, FAKE_PACKET_BYTES);
            memcpy(r->data + i * FAKE_PACKET_BYTES, &r->addresses[i].network.if_index, sizeof(uint32_t));
        }
    }
    *r->address_bytes = (UINT)(count * sizeof *r->addresses);
    finish(r->overlapped, 0, r->data ? count * FAKE_PACKET_BYTES : 0);
}

static bool take_oldest(struct request *r)
{
    AcquireSRWLockExclusive(&lock);
    bool any = pending_count > 0;
    if (any) {
        *r = pending[0];
        memmove(pending, pending + 1, --pending_count * sizeof *pending);
    }
    ReleaseSRWLockExclusive(&lock);
    return any;
}

bool fake_complete(uint32_t first, uint32_t count)
{
    struct request r;
    if (!take_oldest(&r)) {
        return false;
    }
    fill(&r, first, count);
    return true;
}

bool fake_fail(uint32_t status)
{
    struct request r;
    if (!take_oldest(&r)) {
        return false;
    }
    finish(r.overlapped, status, 0);
    return true;
}

static BOOL fail(uint32_t code)
{
    SetLastError(code);
    return FALSE;
}

/* Whether a call may use this handle. */
static bool is_current(HANDLE handle)
{
    if (handle != current) {
        state.bad_call = true;
    }
    return handle == current;
}

HANDLE WinDivertOpen(const char *filter, int layer, int16_t priority, uint64_t flags)
{
    state.opens++;
    if (state.not_installed && (flags & FAKE_NO_INSTALL)) {
        SetLastError(ERROR_SERVICE_DOES_NOT_EXIST);
        return INVALID_HANDLE_VALUE;
    }
    if (state.open_error) {
        SetLastError(state.open_error);
        return state.open_null ? NULL : INVALID_HANDLE_VALUE;
    }
    snprintf(state.filter, sizeof state.filter, "%s", filter);
    state.layer = layer;
    state.priority = priority;
    state.flags = flags;
    pending_count = 0;
    current = CreateEventW(NULL, TRUE, FALSE, NULL);
    return current;
}

BOOL WinDivertRecvEx(HANDLE handle, void *data, UINT bytes, UINT *received, uint64_t flags,
                     struct divert_address *addresses, UINT *address_bytes, OVERLAPPED *overlapped)
{
    struct request r = {overlapped, data, bytes, addresses, address_bytes};
    (void)received;
    if (!is_current(handle)) {
        return fail(ERROR_INVALID_HANDLE);
    }
    state.receives++;
    if (flags || !overlapped || !overlapped->hEvent || *address_bytes < 80 || *address_bytes > 20400 ||
        (state.layer == DIVERT_LAYER_NETWORK) != (bytes >= 65575)) {
        state.bad_call = true;
    }
    ResetEvent(overlapped->hEvent); /* Windows does so first of all, and does not set it again if the call fails */
    if (state.recv_error) {
        return fail(state.recv_error);
    }
    overlapped->Internal = 0x103;
    if (state.recv_at_once) {
        state.recv_at_once--;
        fill(&r, 1000 + state.recv_at_once, 1);
        return TRUE;
    }
    AcquireSRWLockExclusive(&lock);
    if (pending_count < FAKE_PENDING_MAX) {
        pending[pending_count++] = r;
    } else {
        state.bad_call = true;
    }
    ReleaseSRWLockExclusive(&lock);
    return fail(ERROR_IO_PENDING);
}

BOOL WinDivertSendEx(HANDLE handle, const void *data, UINT bytes, UINT *sent, uint64_t flags,
                     const struct divert_address *addresses, UINT address_bytes, OVERLAPPED *overlapped)
{
    (void)data, (void)sent, (void)addresses;
    if (!is_current(handle)) {
        return fail(ERROR_INVALID_HANDLE);
    }
    InterlockedIncrement(&state.sends);
    state.sent_bytes = bytes;
    state.sent_count = address_bytes / 80;
    if (flags || !overlapped) {
        state.bad_call = true;
    }
    if (state.send_is_slow) {
        Sleep(5);
        is_current(handle);
    }
    if (state.send_hangs) {
        SetEvent(state.hanging);
        WaitForSingleObject(state.unhang, INFINITE);
    }
    if (state.send_error) {
        return fail(state.send_error);
    }
    overlapped->Internal = 0x103;
    if (state.send_pends) {
        pending_send = overlapped;
        return fail(ERROR_IO_PENDING);
    }
    finish(overlapped, 0, bytes);
    return TRUE;
}

BOOL WinDivertShutdown(HANDLE handle, int how)
{
    if (!is_current(handle) || how != 1) {
        state.bad_call = true;
    }
    state.shutdowns++;
    return TRUE;
}

BOOL WinDivertClose(HANDLE handle)
{
    if (!is_current(handle)) {
        return fail(ERROR_INVALID_HANDLE);
    }
    current = NULL;
    InterlockedIncrement(&state.closes);
    CloseHandle(handle);
    if (state.never_completes) {
        return TRUE;
    }
    while (fake_fail(STATUS_CANCELLED_VALUE)) {
        ;
    }
    if (pending_send) {
        finish(pending_send, STATUS_CANCELLED_VALUE, 0);
    }
    return TRUE;
}

BOOL WinDivertSetParam(HANDLE handle, int param, uint64_t value)
{
    if (!is_current(handle) || state.param_error) {
        return fail(state.param_error);
    }
    state.params[param] = value;
    return TRUE;
}

/* This driver tells of filters as they were written. */
BOOL WinDivertHelperFormatFilter(const char *filter, int layer, char *text, UINT bytes)
{
    (void)layer;
    return snprintf(text, bytes, "%s", filter) < (int)bytes;
}

BOOL WinDivertGetParam(HANDLE handle, int param, uint64_t *value)
{
    if (!is_current(handle)) {
        return fail(ERROR_INVALID_HANDLE);
    }
    *value = param == 3 ? state.version_major : state.version_minor;
    return TRUE;
}
