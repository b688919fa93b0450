/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector flows, redirector stats: ask a running redirector over its control channel. It is found among the
 * processes; the server of the channel must be that process, so that another program cannot answer under its name. One
 * that does not answer in time is left alone. The answer is shown when all of it is here, so that the one who answers
 * does not wait for whoever reads it, and through output.c, so that no control characters reach the terminal.
 */
#include "control.h"

#include "options.h"
#include "output.h"
#include "processes.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUSY_MS = 3000,   /* another one is being answered */
    ANSWER_MS = 5000, /* request and answer */
    ANSWER_MAX = 64 << 20,
    PART = 65536,
};

/* The channel of process `pid`; INVALID_HANDLE_VALUE: it has none, or access is denied. */
static HANDLE open_channel(uint32_t pid)
{
    wchar_t name[CONTROL_NAME_MAX];
    ULONG server = 0;
    ULONGLONG until = GetTickCount64() + BUSY_MS;
    control_name(name, pid);
    for (;;) {
        /* identification only: the server cannot impersonate this process */
        HANDLE pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                  SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION | FILE_FLAG_OVERLAPPED, NULL);
        if (pipe != INVALID_HANDLE_VALUE) {
            if (GetNamedPipeServerProcessId(pipe, &server) && server == pid) {
                return pipe;
            }
            CloseHandle(pipe);
            return INVALID_HANDLE_VALUE;
        }
        if (GetLastError() != ERROR_PIPE_BUSY || GetTickCount64() >= until || !WaitNamedPipeW(name, BUSY_MS)) {
            return INVALID_HANDLE_VALUE;
        }
    }
}

/* What one redirector is asked. */
struct question {
    HANDLE pipe, event;
    ULONGLONG until;
};

/* Waits for an operation on the pipe. False: it failed, or took too long. */
static bool finish(const struct question *q, OVERLAPPED *overlapped, BOOL done, DWORD *bytes)
{
    ULONGLONG now = GetTickCount64();
    if (!done && GetLastError() != ERROR_IO_PENDING) {
        return false;
    }
    if (WaitForSingleObject(q->event, now < q->until ? (DWORD)(q->until - now) : 0) != WAIT_OBJECT_0) {
        CancelIo(q->pipe);
    }
    return GetOverlappedResult(q->pipe, overlapped, bytes, TRUE);
}

/* Text up to the NUL that ends it, which the caller frees; NULL: it has not come as a whole. */
static char *read_answer(const struct question *q)
{
    char *answer = NULL;
    for (size_t used = 0; used < ANSWER_MAX;) {
        OVERLAPPED overlapped = {.hEvent = q->event};
        DWORD got = 0;
        char *more = realloc(answer, used + PART);
        if (!more) {
            break;
        }
        answer = more;
        if (!finish(q, &overlapped, ReadFile(q->pipe, answer + used, PART, NULL, &overlapped), &got) || !got) {
            break;
        }
        used += got;
        if (answer[used - 1] == '\0') {
            return answer;
        }
    }
    free(answer);
    return NULL;
}

static char *put(HANDLE pipe, const char *request)
{
    struct question q = {
        .pipe = pipe, .event = CreateEventW(NULL, TRUE, FALSE, NULL), .until = GetTickCount64() + ANSWER_MS};
    OVERLAPPED overlapped = {.hEvent = q.event};
    DWORD sent;
    char *answer = NULL;
    if (q.event &&
        finish(&q, &overlapped, WriteFile(pipe, request, (DWORD)strlen(request), NULL, &overlapped), &sent)) {
        answer = read_answer(&q);
    }
    if (q.event) {
        CloseHandle(q.event);
    }
    return answer;
}

/* Line by line, to standard output. */
static void show(char *answer)
{
    for (char *line = answer, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        output_result(line);
    }
}

/* Asks the first redirector that answers. True: one did. */
static bool ask(const struct options *o, const char *request)
{
    struct process_list list;
    char *answer = NULL;
    if (!processes_read(&list)) {
        return false;
    }
    for (size_t i = 0; i < list.count && !answer; i++) {
        uint32_t pid = list.rows[i].pid;
        if (pid == GetCurrentProcessId() || (o->pid_count && o->pids[0] != pid)) {
            continue;
        }
        HANDLE pipe = open_channel(pid);
        if (pipe == INVALID_HANDLE_VALUE) {
            continue;
        }
        answer = put(pipe, request);
        CloseHandle(pipe);
    }
    processes_free(&list);
    if (answer) {
        show(answer);
        free(answer);
        return true;
    }
    return false;
}

static DWORD query(struct options *o)
{
    char request[CONTROL_REQUEST_MAX];
    snprintf(request, sizeof request, "%s %s", o->command == COMMAND_FLOWS ? "flows" : "stats",
             o->json ? "json" : "text");
    if (ask(o, request)) {
        return 0;
    }
    if (o->pid_count) {
        output_message("process %u is no redirector that you may ask", o->pids[0]);
    } else {
        output_message("no redirector runs that you may ask");
    }
    return EXIT_FOUND_WRONG;
}

DWORD flows_command(wchar_t **arguments)
{
    return session_command(COMMAND_FLOWS, arguments, query);
}

DWORD stats_command(wchar_t **arguments)
{
    return session_command(COMMAND_STATS, arguments, query);
}
