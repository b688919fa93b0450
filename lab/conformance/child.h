/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Child processes: a test program runs itself with a role as arguments. A child that waits for the
 * end of its input lives until child_end.
 */
#ifndef LAB_CHILD_H
#define LAB_CHILD_H

#include "net.h"

static const char *child_program; /* argv[0] of the test program */

struct child {
    PROCESS_INFORMATION info;
    HANDLE input;
};

static inline void child_start(struct child *c, const char *role)
{
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    STARTUPINFOA start = {
        .cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES, .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE)};
    char command[MAX_PATH + 128];

    require("pipe", CreatePipe(&start.hStdInput, &c->input, &inherit, 0));
    SetHandleInformation(c->input, HANDLE_FLAG_INHERIT, 0);
    snprintf(command, sizeof command, "\"%s\" %s", child_program, role);
    require("child", CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &c->info));
    CloseHandle(start.hStdInput);
}

static inline void child_end(struct child *c)
{
    DWORD code = 0;

    CloseHandle(c->input);
    require("end of the child", WaitForSingleObject(c->info.hProcess, PATIENCE_MS) == WAIT_OBJECT_0);
    GetExitCodeProcess(c->info.hProcess, &code);
    if (code) {
        check("what a child did", false, "it ended with code %lu", code);
    }
    CloseHandle(c->info.hProcess);
    CloseHandle(c->info.hThread);
}

#endif
