/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Processes.
 *
 *   spawn exe [commands answers] [std] [cwd] [breakaway] [guarded]   starts a program; std: file for its standard
 *                                              output and error; breakaway=1: out of the job, if the job permits that, as
 *                                              programs do that ask it first (Wine 8 answers that there are no limits);
 *                                              guarded=1: nobody may put it into a job, as Windows lets no process into
 *                                              one of another session
 *   wait_exit pid                              until that child has ended
 *   kill pid                                   ends it without asking
 */
#include "endpoint.h"

#include <stdio.h>
#include <string.h>

enum { CHILDREN = 256 };

/* Handles are kept until the child was waited for, so that its pid stays its own. */
static struct {
    DWORD pid;
    HANDLE process;
} children[CHILDREN];
static volatile LONG child_count;

static HANDLE std_file(const char *path)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    return CreateFileA(path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, &inherit,
                       OPEN_ALWAYS, 0, NULL);
}

/* What others may do with a guarded process: ask who it is, and wait for its end. */
static SECURITY_ATTRIBUTES *guard(void)
{
    static union {
        ACL acl;
        BYTE room[128];
    } list;
    static SECURITY_DESCRIPTOR descriptor;
    static SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes, .lpSecurityDescriptor = &descriptor};
    SID everyone = {
        .Revision = SID_REVISION, .SubAuthorityCount = 1, .IdentifierAuthority = {SECURITY_WORLD_SID_AUTHORITY}};
    everyone.SubAuthority[0] = SECURITY_WORLD_RID;
    InitializeAcl(&list.acl, sizeof list, ACL_REVISION);
    AddAccessAllowedAce(&list.acl, ACL_REVISION,
                        PROCESS_QUERY_INFORMATION | PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, &everyone);
    InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&descriptor, TRUE, &list.acl, FALSE);
    return &attributes;
}

void command_spawn(const struct command *c, struct json *answer)
{
    char line[COMMAND_LINE_MAX];
    snprintf(line, sizeof line, "%s %s %s", command_text(c, "exe", ""), command_text(c, "commands", ""),
             command_text(c, "answers", ""));
    STARTUPINFOA start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    start.hStdOutput = start.hStdError = std_file(command_text(c, "std", "NUL"));
    PROCESS_INFORMATION process;
    SECURITY_ATTRIBUTES *rights = command_number(c, "guarded", 0) ? guard() : NULL;
    const char *cwd = command_text(c, "cwd", NULL);
    DWORD flags = command_number(c, "breakaway", 0) ? CREATE_BREAKAWAY_FROM_JOB : 0;
    BOOL ok = CreateProcessA(NULL, line, rights, NULL, TRUE, flags, NULL, cwd, &start, &process);
    if (!ok && flags && GetLastError() == ERROR_ACCESS_DENIED) {
        flags = 0;
        ok = CreateProcessA(NULL, line, rights, NULL, TRUE, flags, NULL, cwd, &start, &process);
    }
    DWORD code = GetLastError();
    CloseHandle(start.hStdOutput);
    if (!ok) {
        json_error(answer, "CreateProcess", code);
        return;
    }
    CloseHandle(process.hThread);
    LONG at = (InterlockedIncrement(&child_count) - 1) % CHILDREN;
    children[at].process = process.hProcess;
    children[at].pid = process.dwProcessId;
    json_number(answer, "pid", process.dwProcessId);
    json_number(answer, "broke_away", flags != 0);
}

void command_wait_exit(const struct command *c, struct json *answer)
{
    DWORD pid = (DWORD)command_number(c, "pid", 0), code = 0;
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i].pid == pid && pid) {
            WaitForSingleObject(children[i].process, INFINITE);
            GetExitCodeProcess(children[i].process, &code);
            CloseHandle(children[i].process);
            children[i].pid = 0;
            json_number(answer, "exit_code", code);
            return;
        }
    }
    json_error(answer, "not a child", ERROR_INVALID_PARAMETER);
}

void command_kill(const struct command *c, struct json *answer)
{
    HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, (DWORD)command_number(c, "pid", 0));
    if (!process || !TerminateProcess(process, 9)) {
        json_error(answer, "kill", GetLastError());
    }
    if (process) {
        CloseHandle(process);
    }
}
