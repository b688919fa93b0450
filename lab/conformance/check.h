/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Reporting and receiving for the conformance programs.
 *
 * A check prints one line, `ok NAME` or `FAIL NAME: WHY`; the runner counts them. Nothing waits for
 * ever: receiving has a time limit. "Handle H gets nothing" is decided without waiting: once a
 * later packet is known to have passed H, H is shut down, and its next receive either still finds
 * something or ends with ERROR_NO_DATA.
 */
#ifndef LAB_CHECK_H
#define LAB_CHECK_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "windivert_api.h"

#define PATIENCE_MS 5000

struct packet {
    uint8_t data[PACKET_MAX];
    unsigned len;
    struct windivert_address addr;
};

static int check_failures;

/* Prints the verdict of one check; the rest says why if it failed. Returns the verdict. */
__attribute__((format(gnu_printf, 3, 4))) static inline bool check(const char *name, bool good, const char *why, ...)
{
    va_list args;

    if (good) {
        printf("ok %s\n", name);
    } else {
        check_failures++;
        printf("FAIL %s: ", name);
        va_start(args, why);
        vprintf(why, args);
        va_end(args);
        printf("\n");
    }
    fflush(stdout);
    return good;
}

/* A call that must succeed. */
static inline bool check_success(const char *name, BOOL result)
{
    DWORD error = GetLastError();

    return check(name, result, "error %lu", error);
}

/* A call that must fail with this code. */
static inline bool check_error(const char *name, BOOL result, DWORD expected)
{
    DWORD error = GetLastError();

    return check(name, !result && error == expected, result ? "success" : "error %lu", error);
}

static inline bool check_equal(const char *name, unsigned long long got, unsigned long long want)
{
    return check(name, got == want, "got %llu (0x%llx), expected %llu", got, got, want);
}

/* For what a test needs and does not test. */
static inline void require(const char *what, bool good)
{
    DWORD error = GetLastError();

    if (good) {
        return;
    }
    printf("FAIL %s: error %lu, cannot go on\n", what, error);
    fflush(stdout);
    ExitProcess(2);
}

static inline HANDLE open_or_exit(const char *filter, int layer, int16_t priority, uint64_t flags)
{
    HANDLE h = WinDivertOpen(filter, layer, priority, flags);

    require(filter, h != INVALID_HANDLE_VALUE && h != NULL);
    return h;
}

/* Waits for a started operation; cancels it when the time is over and fails with WAIT_TIMEOUT. */
static inline BOOL finish(HANDLE h, OVERLAPPED *op, DWORD *transferred, DWORD ms)
{
    if (WaitForSingleObject(op->hEvent, ms) == WAIT_OBJECT_0) {
        return GetOverlappedResult(h, op, transferred, FALSE);
    }
    CancelIoEx(h, op);
    GetOverlappedResult(h, op, transferred, TRUE);
    SetLastError(WAIT_TIMEOUT);
    return FALSE;
}

/* Receives one packet or event. */
static inline BOOL receive(HANDLE h, struct packet *p, DWORD ms)
{
    OVERLAPPED op = {.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL)};
    unsigned addr_len = sizeof p->addr;
    DWORD transferred = 0, error;
    BOOL result;

    p->len = 0;
    result = WinDivertRecvEx(h, p->data, sizeof p->data, NULL, 0, &p->addr, &addr_len, &op);
    if (!result && GetLastError() == ERROR_IO_PENDING) {
        result = finish(h, &op, &transferred, ms);
    } else if (result) {
        result = GetOverlappedResult(h, &op, &transferred, TRUE);
    }
    error = GetLastError();
    p->len = transferred;
    CloseHandle(op.hEvent);
    SetLastError(error);
    return result;
}

/* Nothing is queued at the handle, which is of no further use for receiving. */
static inline bool check_nothing_queued(const char *name, HANDLE h)
{
    static struct packet p;

    WinDivertShutdown(h, SHUTDOWN_RECV);
    return check_error(name, receive(h, &p, PATIENCE_MS), ERROR_NO_DATA);
}

#endif
