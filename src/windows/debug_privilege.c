/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a privilege that is enabled in the process' token is enabled for all threads of a program that
 * is not ours, and for all processes that it starts meanwhile. So the thread gets a copy of the token, in which the
 * privilege is enabled, and impersonates with that.
 */
#include "windows/debug_privilege.h"

static uint32_t enable(void)
{
    HANDLE token;
    TOKEN_PRIVILEGES wanted = {.PrivilegeCount = 1};
    if (!LookupPrivilegeValueW(NULL, L"SeDebugPrivilege", &wanted.Privileges[0].Luid) ||
        !OpenThreadToken(GetCurrentThread(), TOKEN_ADJUST_PRIVILEGES, TRUE, &token)) {
        return GetLastError();
    }
    wanted.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
    SetLastError(ERROR_SUCCESS);
    AdjustTokenPrivileges(token, FALSE, &wanted, 0, NULL, NULL); /* succeeds without it, and says so by the error */
    DWORD code = GetLastError();
    CloseHandle(token);
    return code;
}

uint32_t debug_privilege_take(struct debug_privilege *p)
{
    *p = (struct debug_privilege){NULL, false};
    if (!OpenThreadToken(GetCurrentThread(), TOKEN_IMPERSONATE, TRUE, &p->before)) {
        p->before = NULL;
        if (GetLastError() != ERROR_NO_TOKEN) {
            return GetLastError();
        }
    }
    if (p->before) {
        RevertToSelf();
    }
    uint32_t code = ImpersonateSelf(SecurityImpersonation) ? enable() : GetLastError();
    p->held = code == ERROR_SUCCESS;
    if (!p->held) {
        debug_privilege_drop(p);
    }
    return code;
}

void debug_privilege_drop(struct debug_privilege *p)
{
    SetThreadToken(NULL, p->before); /* NULL: the thread is itself again */
    if (p->before) {
        CloseHandle(p->before);
    }
    *p = (struct debug_privilege){NULL, false};
}
