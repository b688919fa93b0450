/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Traps that a stranger may have laid for a program with administrator rights, and what the library does about them:
 * see SECURITY.md. Where a trap could fail to be one, the test steps into it first by the careless way.
 *
 * Argument: the folder with the fake WinDivert.dll. The fake iphlpapi.dll lies beside this program.
 */
#include "check.h"
#include "log.h"
#include "windows/divert.h"
#include "windows/process_internal.h"
#include "windows/tcptable.h"

#include <stdlib.h>
#include <string.h>
#include <winternl.h>

enum { WAIT_MS = 30000 };

static redirector_error error;
static wchar_t fakes[MAX_PATH];

/* Starts this program in a mode of its own; returns its exit status. */
static DWORD run_myself(const wchar_t *mode)
{
    wchar_t program[MAX_PATH], command[MAX_PATH + 40];
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION info;
    DWORD status = 0;
    GetModuleFileNameW(NULL, program, MAX_PATH);
    swprintf(command, sizeof command / sizeof *command, L"\"%ls\" %ls", program, mode);
    if (!CreateProcessW(program, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &info)) {
        return 0;
    }
    CHECK(WaitForSingleObject(info.hProcess, WAIT_MS) == WAIT_OBJECT_0);
    GetExitCodeProcess(info.hProcess, &status);
    CloseHandle(info.hThread);
    CloseHandle(info.hProcess);
    return status;
}

/* ---- DLL planting (S7) */

static void planted_windivert_is_not_loaded(void)
{
    wchar_t from[MAX_PATH], before[4096], path[4096 + MAX_PATH];
    swprintf(from, MAX_PATH, L"%ls\\fake\\WinDivert.dll", fakes);
    CHECK(CopyFileW(from, L"WinDivert.dll", FALSE)); /* in the current folder, */
    GetEnvironmentVariableW(L"PATH", before, 4096);
    swprintf(path, sizeof path / sizeof *path, L"%ls\\fake;%ls", fakes, before);
    SetEnvironmentVariableW(L"PATH", path); /* and in one that PATH names */

    HMODULE careless = LoadLibraryW(L"WinDivert.dll");
    CHECK(careless != NULL);
    FreeLibrary(careless);
    CHECK(!GetModuleHandleW(L"WinDivert.dll"));
    CHECK(!divert_load(NULL, &error) && error.code == REDIRECTOR_DLL_NOT_FOUND);
    CHECK(!GetModuleHandleW(L"WinDivert.dll"));

    SetEnvironmentVariableW(L"PATH", before);
    DeleteFileW(L"WinDivert.dll");
}

static void planted_iphlpapi_is_not_loaded(void)
{
    wchar_t folder[MAX_PATH], planted[MAX_PATH + 16], path[MAX_PATH] = L"", system[MAX_PATH];
    GetModuleFileNameW(NULL, folder, MAX_PATH);
    *wcsrchr(folder, L'\\') = 0;
    swprintf(planted, sizeof planted / sizeof *planted, L"%ls\\iphlpapi.dll", folder);
    CHECK(GetFileAttributesW(planted) != INVALID_FILE_ATTRIBUTES);
    CHECK(!GetModuleHandleW(L"iphlpapi.dll"));
    struct tcptable *table = tcptable_open();
    CHECK(table != NULL);
    UINT length = GetSystemDirectoryW(system, MAX_PATH);
    GetModuleFileNameW(GetModuleHandleW(L"iphlpapi.dll"), path, MAX_PATH);
    CHECK(_wcsnicmp(path, system, length) == 0 && path[length] == L'\\');
    tcptable_close(table);
}

/* ---- the log's path */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    fputs(text, f);
    fclose(f);
}

static bool file_is(const char *path, const char *text)
{
    char buffer[256];
    FILE *f = fopen(path, "rb");
    size_t size = f ? fread(buffer, 1, sizeof buffer - 1, f) : 0;
    buffer[size] = 0;
    return f && !fclose(f) && strcmp(buffer, text) == 0;
}

/* Any program of the user can set the environment that an elevated one gets; see log_file.c. */
static void environment_leads_to_logs_only(void)
{
    static const char *const precious[] = {"precious", "2026-01-31 precious things that are as long as a line", "x"};
    static const char old[] = "2026-01-31T23:59:59.123Z INFO  before\n";
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", "victim");
    for (size_t i = 0; i < sizeof precious / sizeof *precious; i++) {
        write_file("victim", precious[i]);
        error_clear(&error);
        CHECK(!log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
        CHECK(strstr(error.text, "not a log"));
        CHECK(file_is("victim", precious[i]));
    }
    const char *const welcome[] = {"", old};
    for (size_t i = 0; i < sizeof welcome / sizeof *welcome; i++) {
        write_file("victim", welcome[i]);
        struct log *log = log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
        CHECK(log != NULL);
        log_line(log, REDIRECTOR_LOG_INFO, "after");
        log_close(log);
        CHECK(!file_is("victim", welcome[i]));
    }
    write_file("victim", "precious");
    struct log *log =
        log_open("victim", REDIRECTOR_LOG_INFO, NULL, NULL, &error); /* what the program asks for, it gets */
    CHECK(log != NULL);
    log_close(log);
    DeleteFileA("victim");
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", NULL);
}

static void the_log_is_no_pipe(void)
{
    static const char name[] = "\\\\.\\pipe\\windows-redirector-trap";
    HANDLE pipe = CreateNamedPipeA(name, PIPE_ACCESS_INBOUND, PIPE_TYPE_BYTE, 1, 0, 4096, 0, NULL);
    CHECK(pipe != INVALID_HANDLE_VALUE);
    CHECK(!log_open(name, REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
    CloseHandle(pipe);
}

/* ---- handles to other processes */

static void process_handles_have_least_rights(void)
{
    PUBLIC_OBJECT_BASIC_INFORMATION information = {0};
    DWORD flags = HANDLE_FLAG_INHERIT;
    HANDLE process = process_open(GetCurrentProcessId());
    CHECK(process && NtQueryObject(process, ObjectBasicInformation, &information, sizeof information, NULL) >= 0);
    CHECK(information.GrantedAccess == (PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE));
    CHECK(GetHandleInformation(process, &flags) && !(flags & HANDLE_FLAG_INHERIT));
    CHECK(!TerminateProcess(process, 1)); /* it would be this very process */
    CloseHandle(process);
}

/* ---- a smashed stack */

extern uintptr_t redirector_stack_guard;

__attribute__((noinline)) static void fill(volatile char *buffer, int size)
{
    for (int i = 0; i < size; i++) {
        buffer[i] = 'x';
    }
}

__attribute__((noinline)) static int smash(int size)
{
    char buffer[16];
    fill(buffer, size);
    return buffer[0];
}

static void a_smashed_stack_ends_the_process(void)
{
    CHECK(run_myself(L"smash 16") == 'x');
    CHECK(run_myself(L"smash 64") == 0xC0000409); /* STATUS_STACK_BUFFER_OVERRUN */
}

static void every_start_has_its_own_guard(void)
{
    DWORD first = run_myself(L"guard"), second = run_myself(L"guard");
    CHECK(first && second && first != second && first != (DWORD)(redirector_stack_guard >> 8));
}

int wmain(int argc, wchar_t **argv)
{
    if (argc > 2 && wcscmp(argv[1], L"smash") == 0) {
        return smash(_wtoi(argv[2]));
    }
    if (argc > 1 && wcscmp(argv[1], L"guard") == 0) {
        return (int)(redirector_stack_guard >> 8);
    }
    swprintf(fakes, MAX_PATH, L"%ls", argc > 1 ? argv[1] : L".");
    RUN(planted_windivert_is_not_loaded);
    RUN(planted_iphlpapi_is_not_loaded);
    RUN(environment_leads_to_logs_only);
    RUN(the_log_is_no_pipe);
    RUN(process_handles_have_least_rights);
    RUN(a_smashed_stack_ends_the_process);
    RUN(every_start_has_its_own_guard);
    return checks_done();
}
