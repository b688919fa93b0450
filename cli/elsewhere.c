/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: such a program is a client that asks a service, or another machine's kernel, to run something.
 * What runs there is no descendant of it, and has no socket of this Windows. One that lives for less than the time
 * between two checks may be missed.
 */
#include "elsewhere.h"

#include "output.h"
#include "text.h"

#include <string.h>
#include <tlhelp32.h>

static const struct kind {
    const wchar_t *program; /* file name */
    const char *what;
} kinds[] = {
    {L"wsl.exe", "what runs inside WSL is not redirected"},
    {L"docker.exe", "what runs in its containers is not redirected"},
    {L"podman.exe", "what runs in its containers is not redirected"},
    {L"vmrun.exe", "what runs in its virtual machines is not redirected"},
    {L"vboxmanage.exe", "what runs in its virtual machines is not redirected"},
    {L"multipass.exe", "what runs in its virtual machines is not redirected"},
};

enum { KINDS = sizeof kinds / sizeof kinds[0], ELSEWHERE_MS = 500 };

static void check_one(struct elsewhere *e, const struct tree *t, const PROCESSENTRY32W *process)
{
    for (uint32_t k = 0; k < KINDS; k++) {
        if (!(e->told & 1u << k) && _wcsicmp(kinds[k].program, process->szExeFile) == 0 &&
            tree_has(t, process->th32ProcessID)) {
            char name[64];
            e->told |= 1u << k;
            text_copy_utf8(name, sizeof name, kinds[k].program);
            output_message("%s is in the tree; %s", name, kinds[k].what);
        }
    }
}

void elsewhere_check(struct elsewhere *e, const struct tree *t)
{
    ULONGLONG now = GetTickCount64();
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    if (now < e->next_ms) {
        return;
    }
    e->next_ms = now + ELSEWHERE_MS;
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (snapshot == INVALID_HANDLE_VALUE) {
        return;
    }
    for (BOOL more = Process32FirstW(snapshot, &entry); more; more = Process32NextW(snapshot, &entry)) {
        check_one(e, t, &entry);
    }
    CloseHandle(snapshot);
}
