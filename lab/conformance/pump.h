/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A thread that receives batches from a handle, may change the packets, and sends them on.
 */
#ifndef LAB_PUMP_H
#define LAB_PUMP_H

#include "net.h"

struct pump {
    HANDLE handle;
    unsigned batch; /* packets per call at most */
    /* Called for each packet; may change it and must then put its checksums right. */
    void (*change)(uint8_t *data, unsigned len, struct windivert_address *addr);
    HANDLE thread;
    unsigned long long packets, bytes, largest_batch, largest_packet, wrong_flags;
    DWORD error; /* that ended it */
};

static inline unsigned pump_packet_len(const uint8_t *p)
{
    return p[0] >> 4 == 4 ? net_get16(p + 2) : 40u + net_get16(p + 4);
}

static inline void pump_look(struct pump *pump, uint8_t *data, struct windivert_address *addr, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned len = pump_packet_len(data);

        if (addr[i].ipv6 != (data[0] >> 4 == 6) || addr[i].layer || addr[i].event) {
            pump->wrong_flags++;
        }
        if (len > pump->largest_packet) {
            pump->largest_packet = len;
        }
        if (pump->change) {
            pump->change(data, len, &addr[i]);
        }
        data += len;
    }
}

static inline DWORD WINAPI pump_run(void *arg)
{
    struct pump *pump = arg;
    unsigned size = pump->batch * 2048 + PACKET_MAX;
    uint8_t *data = malloc(size);
    struct windivert_address *addr = malloc(pump->batch * sizeof *addr);
    unsigned len, addr_len;

    for (;;) {
        addr_len = pump->batch * (unsigned)sizeof *addr;
        if (!WinDivertRecvEx(pump->handle, data, size, &len, 0, addr, &addr_len, NULL)) {
            break;
        }
        unsigned count = addr_len / (unsigned)sizeof *addr;
        pump->packets += count;
        pump->bytes += len;
        if (count > pump->largest_batch) {
            pump->largest_batch = count;
        }
        pump_look(pump, data, addr, count);
        if (!WinDivertSendEx(pump->handle, data, len, NULL, 0, addr, addr_len, NULL)) {
            break;
        }
    }
    pump->error = GetLastError();
    free(data);
    free(addr);
    return 0;
}

static inline void pump_start(struct pump *pump)
{
    pump->thread = CreateThread(NULL, 0, pump_run, pump, 0, NULL);
}

/* Ends the pump after it has passed on everything queued; it must have ended for no other reason. */
static inline void pump_stop(struct pump *pump, const char *name)
{
    WinDivertShutdown(pump->handle, SHUTDOWN_RECV);
    WaitForSingleObject(pump->thread, INFINITE);
    CloseHandle(pump->thread);
    check(name, pump->error == ERROR_NO_DATA, "the pump ended with error %lu", pump->error);
    WinDivertClose(pump->handle);
}

/* An echo service for one connection to the listener that is the argument. */
static inline DWORD WINAPI pump_echo_server(void *arg)
{
    SOCKET s = accept((SOCKET)(uintptr_t)arg, NULL, NULL);
    static char block[65536];
    int n;

    while ((n = recv(s, block, sizeof block, 0)) > 0) {
        for (int sent = 0, k; sent < n; sent += k) {
            if ((k = send(s, block + sent, n - sent, 0)) <= 0) {
                return 1;
            }
        }
    }
    closesocket(s);
    return 0;
}

static inline DWORD WINAPI pump_write_pattern(void *arg)
{
    SOCKET s = *(SOCKET *)arg;
    static uint8_t block[65536];

    for (unsigned i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    for (int i = 0; i < 16; i++) {
        for (unsigned sent = 0; sent < sizeof block;) {
            int n = send(s, (char *)block + sent, (int)(sizeof block - sent), 0);
            if (n <= 0) {
                return 1;
            }
            sent += (unsigned)n;
        }
    }
    shutdown(s, SD_SEND);
    return 0;
}

/* Sends one MB to an echo service while reading it back; true if it comes back identical. */
static inline bool pump_echo_identical(SOCKET s)
{
    HANDLE writer = CreateThread(NULL, 0, pump_write_pattern, &s, 0, NULL);
    DWORD patience = 4 * PATIENCE_MS;
    static uint8_t block[65536];
    unsigned total = 0;
    bool same = true;
    int n;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    while ((n = recv(s, (char *)block, sizeof block, 0)) > 0) {
        for (int i = 0; i < n; i++, total++) {
            same = same && block[i] == (uint8_t)((total % 65536) * 2654435761u >> 24);
        }
    }
    closesocket(s);
    WaitForSingleObject(writer, INFINITE);
    CloseHandle(writer);
    return same && n == 0 && total == 16 * 65536;
}

#endif
