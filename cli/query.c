/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector flows, redirector stats: ask a running redirector over its control channel. It is found among the
 * processes; the server of the channel must be that process, so that another program cannot answer under its name. The
 * answer is shown through output.c, so that no control characters reach the terminal.
 */
#include "control.h"

#include "options.h"
#include "output.h"
#include "processes.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 3000, LINE_MAX_BYTES = OUTPUT_LINE_MAX };

/* The channel of process `pid`; INVALID_HANDLE_VALUE: it has none, or access is denied. */
static HANDLE open_channel(uint32_t pid)
{
    wchar_t name[CONTROL_NAME_MAX];
    ULONG server = 0;
    control_name(name, pid);
    for (;;) {
        /* identification only: the server cannot impersonate this process */
        HANDLE pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                  SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        if (pipe != INVALID_HANDLE_VALUE) {
            if (GetNamedPipeServerProcessId(pipe, &server) && server == pid) {
                return pipe;
            }
            CloseHandle(pipe);
            return INVALID_HANDLE_VALUE;
        }
        if (GetLastError() != ERROR_PIPE_BUSY || !WaitNamedPipeW(name, BUSY_MS)) {
            return INVALID_HANDLE_VALUE;
        }
    }
}

/* Shows what comes, line by line, to standard output, up to the NUL that ends it. */
static bool show(HANDLE pipe)
{
    char line[LINE_MAX_BYTES], part[4096];
    size_t used = 0;
    DWORD got;
    while (ReadFile(pipe, part, sizeof part, &got, NULL) && got) {
        for (DWORD i = 0; i < got; i++) {
            if (part[i] == '\0') {
                return true;
            }
            if (part[i] != '\n' && used < sizeof line - 1) {
                line[used++] = part[i];
                continue;
            }
            if (part[i] == '\n') {
                line[used] = '\0';
                output_result(line);
                used = 0;
            }
        }
    }
    return false;
}

/* Asks the first redirector that answers. True: one did. */
static bool ask(const struct options *o, const char *request)
{
    struct process_list list;
    bool answered = false;
    DWORD sent;
    if (!processes_read(&list)) {
        return false;
    }
    for (size_t i = 0; i < list.count && !answered; i++) {
        uint32_t pid = list.rows[i].pid;
        if (pid == GetCurrentProcessId() || (o->pid_count && o->pids[0] != pid)) {
            continue;
        }
        HANDLE pipe = open_channel(pid);
        if (pipe == INVALID_HANDLE_VALUE) {
            continue;
        }
        answered = WriteFile(pipe, request, (DWORD)strlen(request), &sent, NULL) && show(pipe);
        CloseHandle(pipe);
    }
    processes_free(&list);
    return answered;
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
