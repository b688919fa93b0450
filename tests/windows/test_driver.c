/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The WinDivert layer against the genuine DLL and a driver: on Windows as Administrator, or in the lab. Connections are
 * made on loopback, by this process. WinDivert.dll and its driver are expected beside the program, or in the folder
 * given as argument.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "check.h"
#include "windows/divert.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 10000, TRANSFER = 200000 };

static struct divert_api *api;
static redirector_error error;
static SOCKET listener;
static uint16_t port;

static void open_listener(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = sizeof a;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!bind(listener, (struct sockaddr *)&a, size) && !listen(listener, 20));
    getsockname(listener, (struct sockaddr *)&a, &size);
    port = ntohs(a.sin_port);
}

static SOCKET connect_to_listener(uint16_t *source_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int size = sizeof a;
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    DWORD limit = WAIT_MS;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof limit);
    if (connect(s, (struct sockaddr *)&a, size)) {
        closesocket(s);
        return INVALID_SOCKET;
    }
    getsockname(s, (struct sockaddr *)&a, &size);
    *source_port = ntohs(a.sin_port);
    return s;
}

static DWORD WINAPI send_much(void *argument)
{
    static const char data[TRANSFER];
    send(*(SOCKET *)argument, data, sizeof data, 0);
    return 0;
}

/* A connection that carries TRANSFER bytes. */
static bool transfers(void)
{
    static char buffer[65536];
    uint16_t source;
    SOCKET client = connect_to_listener(&source);
    if (client == INVALID_SOCKET) {
        return false;
    }
    SOCKET server = accept(listener, NULL, NULL);
    HANDLE thread = CreateThread(NULL, 0, send_much, &server, 0, NULL);
    int total = 0, got;
    while (total < TRANSFER && (got = recv(client, buffer, sizeof buffer, 0)) > 0) {
        total += got;
    }
    WaitForSingleObject(thread, WAIT_MS);
    CloseHandle(thread);
    closesocket(client);
    closesocket(server);
    return total == TRANSFER;
}

static const char *filter_of_listener(void)
{
    static char filter[120];
    snprintf(filter, sizeof filter, "outbound and ip and tcp and (tcp.DstPort == %u or tcp.SrcPort == %u)", port, port);
    return filter;
}

/* Passes on what comes, until there is no more. */
struct pump {
    struct divert_ring *ring;
    HANDLE thread;
    _Atomic uint32_t packets, batches, errors, send_errors;
    bool drained;
};

static DWORD WINAPI pump_thread(void *argument)
{
    struct pump *p = argument;
    struct divert_batch batch;
    uint32_t code;
    for (;;) {
        WaitForSingleObject(divert_wait_handle(p->ring), WAIT_MS);
        switch (divert_next(p->ring, &batch, &code)) {
        case DIVERT_BATCH:
            p->packets += batch.count;
            p->batches++;
            p->send_errors += divert_send(p->ring, batch.data, batch.bytes, batch.addresses, batch.count) != 0;
            divert_recycle(p->ring);
            break;
        case DIVERT_ERROR:
            p->errors++;
            if (code == ERROR_OPERATION_ABORTED) {
                return 0;
            }
            divert_recycle(p->ring);
            break;
        case DIVERT_DRAINED:
            p->drained = true;
            return 0;
        case DIVERT_NOTHING:
            break;
        }
    }
}

static DWORD WINAPI open_thread(void *argument)
{
    struct pump *p = argument;
    p->ring = divert_open(api, filter_of_listener(), DIVERT_LAYER_NETWORK, 100, &error);
    return 0;
}

/* Opens the ring on a thread that ends at once: what it had outstanding would be cancelled, or lost under Wine. */
static bool start_pump(struct pump *p)
{
    HANDLE thread = CreateThread(NULL, 0, open_thread, p, 0, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    if (!p->ring) {
        printf("# %s\n", error.text);
        return false;
    }
    p->thread = CreateThread(NULL, 0, pump_thread, p, 0, NULL);
    return true;
}

static void passes_packets_and_drains(void)
{
    struct pump p = {0};
    CHECK(start_pump(&p));
    if (!p.ring) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        CHECK(transfers());
    }
    divert_shutdown_receive(p.ring);
    CHECK(WaitForSingleObject(p.thread, WAIT_MS) == WAIT_OBJECT_0);
    printf("# %lu packets in %lu batches\n", (unsigned long)p.packets, (unsigned long)p.batches);
    CHECK(p.drained && p.errors == 0 && p.send_errors == 0 && p.packets >= 3 * 8);
    CHECK(transfers()); /* past the handle now */
    divert_close(p.ring);
    CloseHandle(p.thread);
}

static void abandon_lets_traffic_flow(void)
{
    struct pump p = {0};
    CHECK(start_pump(&p));
    if (!p.ring) {
        return;
    }
    CHECK(transfers());
    divert_abandon(p.ring);
    CHECK(WaitForSingleObject(p.thread, WAIT_MS) == WAIT_OBJECT_0 && !p.drained && p.errors == 1);
    CHECK(transfers());
    divert_close(p.ring);
    CloseHandle(p.thread);
}

static void closes_at_once(void)
{
    for (int i = 0; i < 5; i++) {
        struct divert_ring *ring = divert_open(api, filter_of_listener(), DIVERT_LAYER_NETWORK, 100, &error);
        CHECK(ring != NULL);
        ULONGLONG begin = GetTickCount64();
        divert_close(ring);
        CHECK(GetTickCount64() - begin < 200);
    }
    CHECK(transfers());
}

static void sees_connect_events(void)
{
    struct divert_ring *ring = divert_open(api, "tcp and event == CONNECT", DIVERT_LAYER_SOCKET, 100, &error);
    struct divert_batch batch;
    uint32_t code;
    uint16_t source = 0;
    bool found = false;
    CHECK(ring != NULL);
    SOCKET client = connect_to_listener(&source);
    CHECK(client != INVALID_SOCKET);
    for (int i = 0; i < 20 && !found && WaitForSingleObject(divert_wait_handle(ring), WAIT_MS) == WAIT_OBJECT_0; i++) {
        if (divert_next(ring, &batch, &code) != DIVERT_BATCH) {
            continue;
        }
        for (uint32_t k = 0; k < batch.count; k++) {
            struct socket_event e;
            ip_addr loopback = ip_addr_loopback(FAMILY_IP4);
            found |= divert_socket_event(&batch.addresses[k], &e) && e.kind == SOCKET_CONNECT &&
                     e.pid == GetCurrentProcessId() && be16_to_host(e.tuple.src_port) == source &&
                     be16_to_host(e.tuple.dst_port) == port && ip_addr_equal(&e.tuple.src, &loopback) &&
                     ip_addr_equal(&e.tuple.dst, &loopback);
        }
        divert_recycle(ring);
    }
    CHECK(found);
    closesocket(client);
    closesocket(accept(listener, NULL, NULL));
    divert_close(ring);
}

static void bad_filters_are_internal_errors(void)
{
    CHECK(!divert_open(api, "this is no filter", DIVERT_LAYER_NETWORK, 0, &error));
    CHECK(error.code == REDIRECTOR_INTERNAL && error.os_error == ERROR_INVALID_PARAMETER);
}

int main(int argc, char **argv)
{
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    api = divert_load(argc > 1 ? argv[1] : NULL, &error);
    if (!api) {
        printf("# %s\n", error.text);
        return 2;
    }
    open_listener();
    RUN(passes_packets_and_drains);
    RUN(abandon_lets_traffic_flow);
    RUN(closes_at_once);
    RUN(sees_connect_events);
    RUN(bad_filters_are_internal_errors);
    divert_unload(api);
    return checks_done();
}
