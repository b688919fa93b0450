/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * forward "PROGRAM ARGUMENTS"
 *
 * Starts a program and redirects its TCP connections, and those of all its descendants, to this process, which prints
 * the destination of each and relays it. A minimal proxy: a real one would process the bytes in pump().
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <windows_redirector.h>

static redirector *r; /* set before the program runs */

/* Relays one direction of a connection until its end, then shuts down the other side's. */
struct way {
    SOCKET from, to;
};

static DWORD WINAPI pump(void *pointer)
{
    struct way *way = pointer;
    char bytes[16384];
    int got;
    while ((got = recv(way->from, bytes, sizeof bytes, 0)) > 0) {
        for (int sent = 0, n; sent < got; sent += n) {
            n = send(way->to, bytes + sent, got - sent, 0);
            if (n <= 0) {
                return 0;
            }
        }
    }
    shutdown(way->to, SD_SEND);
    return 0;
}

/* Conversion between the redirector's addresses and those of Winsock. */
static redirector_address from_windows(const struct sockaddr_storage *a)
{
    redirector_address out = {.family = a->ss_family == AF_INET ? 4 : 6};
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    out.port = ntohs(out.family == 4 ? four->sin_port : six->sin6_port);
    memcpy(out.bytes, out.family == 4 ? (const void *)&four->sin_addr : &six->sin6_addr, out.family == 4 ? 4 : 16);
    out.scope = out.family == 4 ? 0 : six->sin6_scope_id;
    return out;
}

static int to_windows(const redirector_address *a, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    out->ss_family = a->family == 4 ? AF_INET : AF_INET6;
    if (a->family == 4) {
        four->sin_port = htons((u_short)a->port);
        memcpy(&four->sin_addr, a->bytes, 4);
        return sizeof *four;
    }
    six->sin6_port = htons((u_short)a->port);
    memcpy(&six->sin6_addr, a->bytes, 16);
    six->sin6_scope_id = a->scope; /* a link-local address is reached by it */
    return sizeof *six;
}

/* Connects to the original destination, and relays both directions. */
static DWORD WINAPI forward(void *pointer)
{
    SOCKET client = (SOCKET)pointer, server = INVALID_SOCKET;
    struct sockaddr_storage name;
    int length = sizeof name;
    getpeername(client, (struct sockaddr *)&name, &length);
    redirector_address peer = from_windows(&name);
    redirector_destination where = {.size = sizeof where};
    if (redirector_lookup(r, &peer, &where) != REDIRECTOR_OK) {
        closesocket(client); /* not redirected: no program of the tree opened it */
        return 0;
    }
    length = to_windows(&where.destination, &name);
    char text[64];
    getnameinfo((struct sockaddr *)&name, length, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    fprintf(stderr, "pid %u -> %s port %u\n", where.pid, text, where.destination.port);

    server = socket(name.ss_family, SOCK_STREAM, 0);
    if (connect(server, (struct sockaddr *)&name, length) == 0) {
        struct way up = {client, server}, down = {server, client};
        HANDLE thread = CreateThread(NULL, 0, pump, &up, 0, NULL);
        pump(&down);
        WaitForSingleObject(thread, INFINITE);
        CloseHandle(thread);
    }
    closesocket(server);
    closesocket(client);
    return 0;
}

static DWORD WINAPI accept_all(void *listener)
{
    SOCKET client;
    while ((client = accept((SOCKET)listener, NULL, NULL)) != INVALID_SOCKET) {
        CloseHandle(CreateThread(NULL, 0, forward, (void *)client, 0, NULL));
    }
    return 0;
}

/* The proxy listens on the same port of both loopback addresses. *port 0: any free one, which is stored there. */
static int listen_on(const redirector_address *loopback, uint32_t *port)
{
    struct sockaddr_storage name;
    redirector_address address = *loopback;
    address.port = *port;
    int length = to_windows(&address, &name);
    SOCKET listener = socket(name.ss_family, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&name, length) || listen(listener, SOMAXCONN)) {
        return 0;
    }
    getsockname(listener, (struct sockaddr *)&name, &length);
    *port = from_windows(&name).port;
    CloseHandle(CreateThread(NULL, 0, accept_all, (void *)listener, 0, NULL));
    return 1;
}

int main(int argc, char **argv)
{
    const redirector_address loopback4 = {.family = 4, .bytes = {127, 0, 0, 1}};
    const redirector_address loopback6 = {.family = 6, .bytes = {[15] = 1}};
    redirector_config config = {.size = sizeof config};
    redirector_error error = {.size = sizeof error};
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION program;
    WSADATA data;
    if (argc != 2) {
        fprintf(stderr, "usage: forward \"PROGRAM ARGUMENTS\"\n");
        return 2;
    }
    WSAStartup(MAKEWORD(2, 2), &data);
    if (!listen_on(&loopback4, &config.proxy_port) || !listen_on(&loopback6, &config.proxy_port)) {
        fprintf(stderr, "cannot listen: error %d\n", WSAGetLastError());
        return 1;
    }
    /* Suspended, so that its first connection is redirected, too. */
    if (!CreateProcessA(NULL, argv[1], NULL, NULL, FALSE, CREATE_SUSPENDED, NULL, NULL, &startup, &program)) {
        fprintf(stderr, "cannot start %s: error %lu\n", argv[1], GetLastError());
        return 1;
    }
    config.client_pid = program.dwProcessId;
    if (redirector_start(&config, &r, &error) != REDIRECTOR_OK) {
        fprintf(stderr, "%s\n", error.text); /* what happened and what to do */
        TerminateProcess(program.hProcess, 1);
        return 1;
    }
    DWORD status = 1;
    ResumeThread(program.hThread);
    WaitForSingleObject(program.hProcess, INFINITE);
    GetExitCodeProcess(program.hProcess, &status);
    redirector_stop(r);
    return (int)status; /* threads may still call redirector_lookup(), so r is not freed */
}
