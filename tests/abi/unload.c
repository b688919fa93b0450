/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file unload.c
 * unload.exe FOLDER: loads windows_redirector.dll, starts with the WinDivert.dll of that folder, and unloads it. Both have to
 * stay: a thread that hangs in a driver would else return to where nothing is. There is no driver here, so start fails.
 */
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdio.h>
#include <windows.h>

typedef redirector_status start_fn(const redirector_config *config, redirector **out, redirector_error *error);

int main(int argc, char **argv)
{
    HMODULE dll = LoadLibraryA("windows_redirector.dll");
    start_fn *start = dll ? (start_fn *)(void (*)(void))GetProcAddress(dll, "redirector_start") : NULL;
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION other;
    if (argc == 1) {
        return 0; /* the other process */
    }
    if (!start || !CreateProcessA(argv[0], NULL, NULL, NULL, FALSE, CREATE_SUSPENDED, NULL, NULL, &startup, &other)) {
        printf("it could not be tried\n");
        return 1;
    }
    redirector *r = NULL;
    redirector_error error = {.size = sizeof error};
    redirector_config config = {.size = sizeof config, .proxy_port = 8080, .windivert_dir = argv[1]};
    config.client_pid = other.dwProcessId;
    start(&config, &r, &error);
    TerminateProcess(other.hProcess, 0);
    FreeLibrary(dll);
    printf("start: %s\n", error.text);
    bool stays = GetModuleHandleA("windows_redirector.dll") && GetModuleHandleA("WinDivert.dll");
    return error.code == REDIRECTOR_DRIVER_NOT_FOUND && stays ? 0 : 1;
}
