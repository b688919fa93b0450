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

static char *put(HANDLE pipe, const char *request, size_t size)
{
    struct question q = {
        .pipe = pipe, .event = CreateEventW(NULL, TRUE, FALSE, NULL), .until = GetTickCount64() + ANSWER_MS};
    OVERLAPPED overlapped = {.hEvent = q.event};
    DWORD sent;
    char *answer = NULL;
    if (q.event && finish(&q, &overlapped, WriteFile(pipe, request, (DWORD)size, NULL, &overlapped), &sent)) {
        answer = read_answer(&q);
    }
    if (q.event) {
        CloseHandle(q.event);
    }
    return answer;
}

void control_show(char *answer)
{
    for (char *line = answer, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        output_result(line);
    }
}

/* The channel of the first redirector that has one for us; *several: there is another one, which was looked for only if
 * it must not be. */
static HANDLE find_channel(const struct process_list *list, uint32_t pid, bool only, bool *several)
{
    HANDLE found = INVALID_HANDLE_VALUE;
    *several = false;
    for (size_t i = 0; i < list->count && !*several && (only || found == INVALID_HANDLE_VALUE); i++) {
        uint32_t row = list->rows[i].pid;
        if (row == GetCurrentProcessId() || (pid && pid != row)) {
            continue;
        }
        HANDLE pipe = open_channel(row);
        *several = pipe != INVALID_HANDLE_VALUE && found != INVALID_HANDLE_VALUE;
        if (*several) {
            CloseHandle(pipe);
        } else if (pipe != INVALID_HANDLE_VALUE) {
            found = pipe;
        }
    }
    return found;
}

char *control_ask(uint32_t pid, bool only, const char *request, size_t size)
{
    struct process_list list;
    char *answer = NULL;
    bool several;
    if (!processes_read(&list)) {
        output_message("the list of processes cannot be had (error %lu)", GetLastError());
        return NULL;
    }
    HANDLE pipe = find_channel(&list, pid, only, &several);
    if (pipe != INVALID_HANDLE_VALUE && !several) {
        answer = put(pipe, request, size);
    }
    if (pipe != INVALID_HANDLE_VALUE) {
        CloseHandle(pipe);
    }
    processes_free(&list);
    if (several) {
        output_message("several redirectors run: say by --pid which one is meant");
    } else if (!answer && pid) {
        output_message("process %u is no redirector that you may ask", pid);
    } else if (!answer) {
        output_message("no redirector runs that you may ask");
    }
    return answer;
}

static DWORD query(struct options *o)
{
    char request[CONTROL_LINE_MAX];
    snprintf(request, sizeof request, "%s %s", o->command == COMMAND_FLOWS ? "flows" : "stats",
             o->json ? "json" : "text");
    char *answer = control_ask(o->pid_count ? o->pids[0] : 0, false, request, strlen(request));
    if (answer) {
        control_show(answer);
    }
    free(answer);
    return answer ? 0 : EXIT_FOUND_WRONG;
}

DWORD flows_command(wchar_t **arguments)
{
    return session_command(COMMAND_FLOWS, arguments, query);
}

DWORD stats_command(wchar_t **arguments)
{
    return session_command(COMMAND_STATS, arguments, query);
}
