/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The control channel: a named pipe that reads out, and takes rules. Its access list lets in the same user and Administrators,
 * nobody by the network, and the first instance is ours or there is none: a stranger who has taken the name before us
 * gets no clients, because they ask who serves the pipe (query.c). One client at a time, each with a limited time, so
 * that one who stands still stops nobody but those behind him, and the end of the redirector not at all.
 */
#include "control.h"

#include "worker.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENT_MS = 2500, /* for all of a client; less than one waits that comes behind it */
    BUFFER = 65536,
};

struct control {
    struct control_subject about;
    HANDLE pipe, event;
    ULONGLONG until; /* the client's time is over; 0: there is no client */
    struct worker worker;
};

void control_name(wchar_t out[CONTROL_NAME_MAX], uint32_t pid)
{
    _snwprintf(out, CONTROL_NAME_MAX, L"\\\\.\\pipe\\windows-redirector-%lu", (unsigned long)pid);
}

/* Waits for an operation on the pipe. False: it failed, the client's time is over, or the redirector ends. */
static bool finish(struct control *c, OVERLAPPED *overlapped, BOOL done, DWORD *bytes)
{
    *bytes = 0;
    ULONGLONG now = GetTickCount64();
    DWORD patience = !c->until ? INFINITE : now < c->until ? (DWORD)(c->until - now) : 0;
    if (!done && GetLastError() != ERROR_IO_PENDING) {
        return GetLastError() == ERROR_PIPE_CONNECTED;
    }
    HANDLE handles[] = {c->event, c->worker.ending};
    if (WaitForMultipleObjects(2, handles, FALSE, patience) != WAIT_OBJECT_0) {
        CancelIo(c->pipe);
    }
    return GetOverlappedResult(c->pipe, overlapped, bytes, TRUE);
}

static bool read_part(struct control *c, char *to, size_t room, DWORD *bytes)
{
    OVERLAPPED overlapped = {.hEvent = c->event};
    DWORD part = (DWORD)(room < BUFFER ? room : BUFFER);
    return finish(c, &overlapped, ReadFile(c->pipe, to, part, NULL, &overlapped), bytes) && *bytes;
}

/* The size of the whole request, as its first line has it; 0: that says too much, or nothing. */
static size_t whole_size(const char *request, size_t have)
{
    const char *end = strchr(request, '\n'), *digits = end;
    size_t data = 0;
    while (digits && digits > request && digits[-1] >= '0' && digits[-1] <= '9') {
        digits--;
    }
    if (!end) {
        return have;
    }
    for (const char *at = digits; at < end && data <= RULES_FILE_BYTES_MAX; at++) {
        data = data * 10 + (size_t)(*at - '0');
    }
    return digits < end && data <= RULES_FILE_BYTES_MAX ? (size_t)(end + 1 - request) + data : 0;
}

/* A request of which all has come, to be freed; NULL: it has not. */
static char *read_request(struct control *c, size_t *size)
{
    char line[CONTROL_LINE_MAX + 1] = "";
    DWORD bytes;
    if (!read_part(c, line, CONTROL_LINE_MAX, &bytes)) {
        return NULL;
    }
    line[bytes] = '\0';
    size_t have = bytes;
    *size = whole_size(line, have);
    char *request = *size >= have ? malloc(*size + 1) : NULL;
    if (request) {
        memcpy(request, line, have);
        for (; have < *size; have += bytes) {
            if (!read_part(c, request + have, *size - have, &bytes)) {
                free(request);
                return NULL;
            }
        }
        request[have] = '\0';
    }
    return request;
}

static void serve_client(struct control *c)
{
    DWORD bytes = 0;
    size_t size;
    char *request = read_request(c, &size), last;
    if (!request) {
        return;
    }
    OVERLAPPED overlapped;
    char *answer = control_answer(request, size, &c->about);
    SecureZeroMemory(request, size); /* there may be passwords in it */
    free(request);
    size_t length = answer ? strlen(answer) : 0;
    for (size_t sent = 0; sent < length; sent += bytes) {
        DWORD part = length - sent < BUFFER ? (DWORD)(length - sent) : BUFFER;
        overlapped = (OVERLAPPED){.hEvent = c->event};
        if (!finish(c, &overlapped, WriteFile(c->pipe, answer + sent, part, NULL, &overlapped), &bytes)) {
            break;
        }
    }
    free(answer);
    /* a NUL is the end; the client hangs up */
    overlapped = (OVERLAPPED){.hEvent = c->event};
    if (finish(c, &overlapped, WriteFile(c->pipe, "", 1, NULL, &overlapped), &bytes)) {
        overlapped = (OVERLAPPED){.hEvent = c->event};
        finish(c, &overlapped, ReadFile(c->pipe, &last, 1, NULL, &overlapped), &bytes);
    }
}

static void serve(void *context)
{
    struct control *c = context;
    while (worker_pause(&c->worker, 0)) {
        OVERLAPPED overlapped = {.hEvent = c->event};
        DWORD bytes;
        if (finish(c, &overlapped, ConnectNamedPipe(c->pipe, &overlapped), &bytes)) {
            c->until = GetTickCount64() + CLIENT_MS;
            serve_client(c);
            c->until = 0;
        }
        DisconnectNamedPipe(c->pipe);
    }
}

/* Full access for Administrators and for the user whose process this is, none for whoever comes by the network. */
static SECURITY_DESCRIPTOR *make_access(void)
{
    struct {
        TOKEN_USER user;
        char sid[SECURITY_MAX_SID_SIZE];
    } owner;
    HANDLE token;
    DWORD size;
    wchar_t *sid = NULL, text[256];
    PSECURITY_DESCRIPTOR access = NULL;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        return NULL;
    }
    if (GetTokenInformation(token, TokenUser, &owner, sizeof owner, &size) &&
        ConvertSidToStringSidW(owner.user.User.Sid, &sid)) {
        _snwprintf(text, sizeof text / sizeof text[0], L"D:P(D;;GA;;;NU)(A;;GA;;;BA)(A;;GA;;;SY)(A;;GRGW;;;%ls)", sid);
        ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &access, NULL);
        LocalFree(sid);
    }
    CloseHandle(token);
    return access;
}

static HANDLE open_pipe(void)
{
    wchar_t name[CONTROL_NAME_MAX];
    SECURITY_ATTRIBUTES security = {.nLength = sizeof security, .lpSecurityDescriptor = make_access()};
    HANDLE pipe = INVALID_HANDLE_VALUE;
    control_name(name, GetCurrentProcessId());
    if (security.lpSecurityDescriptor) { /* never one that everybody may open */
        pipe = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, BUFFER, 0, 0, &security);
        LocalFree(security.lpSecurityDescriptor);
    }
    return pipe;
}

struct control *control_start(const struct control_subject *about)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = (struct control){.about = *about, .pipe = open_pipe()};
    c->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (c->pipe == INVALID_HANDLE_VALUE || !c->event || !worker_start(&c->worker, serve, c)) {
        control_stop(c);
        return NULL;
    }
    return c;
}

void control_stop(struct control *c)
{
    if (!c) {
        return;
    }
    worker_end(&c->worker);
    if (c->pipe != INVALID_HANDLE_VALUE) {
        CloseHandle(c->pipe);
    }
    if (c->event) {
        CloseHandle(c->event);
    }
    free(c);
}
