/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A connection begins with what its client wants (wish), except those that are only made and ended. Tasks go
 * to the child by a pipe and not by a connection: the child's connections are what is redirected.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "bench_load.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 256 * 1024, ACCEPTORS = 4, CONNECTIONS_MAX = 100000 };

struct wish {
    uint64_t task, bytes;
};

static uint64_t now_us(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t f = (uint64_t)frequency.QuadPart, n = (uint64_t)now.QuadPart;
    return n / f * 1000000 + n % f * 1000000 / f;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static bool send_bytes(SOCKET s, const char *chunk, uint64_t n)
{
    while (n) {
        int sent = send(s, chunk, n < CHUNK ? (int)n : CHUNK, 0);
        if (sent <= 0) {
            return false;
        }
        n -= (uint64_t)sent;
    }
    return true;
}

static bool receive_bytes(SOCKET s, char *chunk, uint64_t n)
{
    while (n) {
        int got = recv(s, chunk, n < CHUNK ? (int)n : CHUNK, 0);
        if (got <= 0) {
            return false;
        }
        n -= (uint64_t)got;
    }
    return true;
}

/* ---- the server */

static void serve(SOCKET s, char *chunk)
{
    struct wish wish;
    if (!receive_bytes(s, (char *)&wish, sizeof wish)) {
        return;
    }
    if (wish.task == BENCH_DOWNLOAD) {
        send_bytes(s, chunk, wish.bytes);
    } else if (receive_bytes(s, chunk, wish.bytes)) {
        send_bytes(s, chunk, 1); /* all has arrived */
    }
}

static DWORD WINAPI accept_thread(void *listener)
{
    SOCKET s;
    char *chunk = calloc(1, CHUNK);
    while (chunk && (s = accept((SOCKET)(uintptr_t)listener, NULL, NULL)) != INVALID_SOCKET) {
        serve(s, chunk);
        closesocket(s);
    }
    free(chunk);
    return 1;
}

static SOCKET bound_socket(uint16_t *port)
{
    WSADATA data;
    struct sockaddr_in local = loopback(0);
    int length = sizeof local;
    SOCKET s = WSAStartup(MAKEWORD(2, 2), &data) == 0 ? socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) : INVALID_SOCKET;
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)&local, sizeof local) != 0 ||
        getsockname(s, (struct sockaddr *)&local, &length) != 0) {
        return INVALID_SOCKET;
    }
    *port = ntohs(local.sin_port);
    return s;
}

uint16_t bench_server_open(void)
{
    uint16_t port;
    SOCKET s = bound_socket(&port);
    if (s == INVALID_SOCKET || listen(s, SOMAXCONN) != 0) {
        return 0;
    }
    for (int i = 0; i < ACCEPTORS; i++) {
        HANDLE thread = CreateThread(NULL, 0, accept_thread, (void *)(uintptr_t)s, 0, NULL);
        if (!thread) {
            return 0;
        }
        CloseHandle(thread);
    }
    return port;
}

uint16_t bench_dead_port(void)
{
    uint16_t port;
    return bound_socket(&port) == INVALID_SOCKET ? 0 : port;
}

/* ---- the child, seen from here */

/* A pipe whose one end the child inherits, and the other not. */
static bool make_pipe(HANDLE *read, HANDLE *write, bool child_reads)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    return CreatePipe(read, write, &inherited, 0) &&
           SetHandleInformation(child_reads ? *write : *read, HANDLE_FLAG_INHERIT, 0);
}

bool bench_client_start(struct bench_client *c)
{
    wchar_t program[MAX_PATH], line[MAX_PATH + 64];
    STARTUPINFOW startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;
    *c = (struct bench_client){0};
    DWORD length = GetModuleFileNameW(NULL, program, MAX_PATH);
    if (!length || length == MAX_PATH || !make_pipe(&startup.hStdInput, &c->to, true) ||
        !make_pipe(&c->from, &startup.hStdOutput, false)) {
        return false;
    }
    startup.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    _snwprintf(line, MAX_PATH + 64, L"\"%ls\" bench " BENCH_CLIENT_WORD, program); /* no path has a quote in it */
    bool started = CreateProcessW(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process);
    DWORD why = GetLastError();
    CloseHandle(startup.hStdInput);
    CloseHandle(startup.hStdOutput);
    if (!started) {
        SetLastError(why);
        return false;
    }
    CloseHandle(process.hThread);
    c->process = process.hProcess;
    c->pid = process.dwProcessId;
    return true;
}

void bench_client_end(struct bench_client *c)
{
    CloseHandle(c->to); /* the end of its input is the end of it */
    WaitForSingleObject(c->process, INFINITE);
    CloseHandle(c->from);
    CloseHandle(c->process);
}

struct order {
    uint64_t task, port, n;
};

static bool read_all(HANDLE pipe, void *out, DWORD size)
{
    char *at = out;
    DWORD got;
    for (; size; size -= got, at += got) {
        if (!ReadFile(pipe, at, size, &got, NULL) || !got) {
            return false;
        }
    }
    return true;
}

bool bench_client_do(struct bench_client *c, enum bench_task task, uint16_t port, uint64_t n,
                     struct bench_answer *answer)
{
    struct order order = {task, port, n};
    DWORD written;
    return WriteFile(c->to, &order, sizeof order, &written, NULL) && read_all(c->from, answer, sizeof *answer) &&
           answer->total_us > 0;
}

/* ---- the child, seen from inside */

static SOCKET connect_to(uint16_t port, uint64_t *us)
{
    struct sockaddr_in to = loopback(port);
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    uint64_t began = now_us();
    if (s != INVALID_SOCKET && connect(s, (struct sockaddr *)&to, sizeof to) != 0) {
        closesocket(s);
        s = INVALID_SOCKET;
    }
    *us = now_us() - began;
    return s;
}

static bool transfer(const struct order *order, char *chunk, struct bench_answer *answer)
{
    struct wish wish = {order->task, order->n};
    SOCKET s = connect_to((uint16_t)order->port, &answer->connect_us);
    if (s == INVALID_SOCKET) {
        return false;
    }
    uint64_t began = now_us();
    bool ok = send_bytes(s, (const char *)&wish, sizeof wish);
    if (order->task == BENCH_DOWNLOAD) {
        ok = ok && receive_bytes(s, chunk, order->n);
    } else {
        ok = ok && send_bytes(s, chunk, order->n) && receive_bytes(s, chunk, 1);
    }
    answer->total_us = now_us() - began;
    closesocket(s);
    return ok;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Each connection ends before the next one begins: that it does is part of what it costs. */
static bool make_connections(const struct order *order, char *chunk, struct bench_answer *answer)
{
    uint64_t *us = order->n && order->n <= CONNECTIONS_MAX ? calloc((size_t)order->n, sizeof *us) : NULL;
    uint64_t made = 0, began = now_us();
    for (; us && made < order->n; made++) {
        SOCKET s = connect_to((uint16_t)order->port, &us[made]);
        if (s == INVALID_SOCKET) {
            break;
        }
        shutdown(s, SD_SEND);
        recv(s, chunk, 1, 0);
        closesocket(s);
    }
    answer->total_us = now_us() - began;
    bool ok = us && made == order->n;
    if (ok) {
        qsort(us, (size_t)made, sizeof *us, by_size);
        answer->connect_us = us[made / 2];
    }
    free(us);
    return ok;
}

DWORD bench_client_main(void)
{
    WSADATA data;
    struct order order;
    DWORD written;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return 1;
    }
    char *chunk = calloc(1, CHUNK);
    if (!chunk) {
        return 1;
    }
    while (read_all(GetStdHandle(STD_INPUT_HANDLE), &order, sizeof order)) {
        struct bench_answer answer = {0};
        bool ok =
            order.task == BENCH_CONNECT ? make_connections(&order, chunk, &answer) : transfer(&order, chunk, &answer);
        if (!ok) {
            answer.total_us = 0;
        } else if (!answer.total_us) {
            answer.total_us = 1;
        }
        WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), &answer, sizeof answer, &written, NULL);
    }
    free(chunk);
    return 0;
}
