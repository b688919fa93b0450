/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "privilege.h"

void privilege_take(struct privilege *p)
{
    TOKEN_PRIVILEGES wanted = {.PrivilegeCount = 1};
    DWORD size = sizeof p->before;
    wanted.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
    *p = (struct privilege){.token = NULL};
    if (!LookupPrivilegeValueW(NULL, L"SeDebugPrivilege", &wanted.Privileges[0].Luid) ||
        !OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &p->token)) {
        p->token = NULL;
        return;
    }
    if (!AdjustTokenPrivileges(p->token, FALSE, &wanted, sizeof p->before, &p->before, &size)) {
        CloseHandle(p->token);
        p->token = NULL;
    }
}

void privilege_restore(struct privilege *p)
{
    if (p->token) {
        AdjustTokenPrivileges(p->token, FALSE, &p->before, 0, NULL, NULL); /* no privilege in it: nothing was changed */
        CloseHandle(p->token);
        p->token = NULL;
    }
}
