/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The bare loop (cli/pass_loop.c) as commands, and how long it takes to start.
 *
 *   pass_open filter            '+' stands for a space
 *   pass_close                  packets, batches
 *   time_open filter            microseconds of WinDivertOpen()
 *   time_start client proxy     microseconds of redirector_start() and redirector_stop()
 */
#include "bench.h"

#include "pass_loop.h"
#include "windows_redirector.h"

#include <stdio.h>
#include <string.h>

enum { PRIORITY = 817 };

static struct pass_loop *loop;

static void read_filter(const struct command *c, char out[COMMAND_LINE_MAX])
{
    snprintf(out, COMMAND_LINE_MAX, "%s", command_text(c, "filter", "outbound+and+tcp"));
    for (char *at = out; *at; at++) {
        *at = *at == '+' ? ' ' : *at;
    }
}

/* Beside this program. */
static const wchar_t *dll_path(void)
{
    static wchar_t path[MAX_PATH];
    GetModuleFileNameW(NULL, path, MAX_PATH - 16);
    wcscpy(wcsrchr(path, L'\\') + 1, L"WinDivert.dll");
    return path;
}

static void command_pass_open(const struct command *c, struct json *answer)
{
    char filter[COMMAND_LINE_MAX];
    read_filter(c, filter);
    loop = pass_loop_open(dll_path(), filter);
    if (!loop) {
        json_error(answer, "pass_loop_open", GetLastError());
    }
}

static void command_pass_close(const struct command *c, struct json *answer)
{
    struct pass_loop_counts counts;
    (void)c;
    pass_loop_close(loop, &counts);
    json_number(answer, "packets", (long long)counts.packets);
    json_number(answer, "batches", (long long)counts.batches);
    json_number(answer, "send_errors", (long long)counts.send_errors);
}

/* WinDivertOpen() and WinDivertClose(), of a DLL that stays loaded; false: not to be had. */
static bool load_open(HANDLE (**open)(const char *, int, INT16, UINT64), BOOL (**close)(HANDLE))
{
    HMODULE dll = LoadLibraryW(dll_path());
    FARPROC o = dll ? GetProcAddress(dll, "WinDivertOpen") : NULL,
            c = dll ? GetProcAddress(dll, "WinDivertClose") : NULL;
    memcpy(open, &o, sizeof o);
    memcpy(close, &c, sizeof c);
    return o && c;
}

static void command_time_open(const struct command *c, struct json *answer)
{
    char filter[COMMAND_LINE_MAX];
    HANDLE (*open)(const char *, int, INT16, UINT64);
    BOOL (*close)(HANDLE);
    read_filter(c, filter);
    if (!load_open(&open, &close)) {
        json_error(answer, "WinDivert.dll", GetLastError());
        return;
    }
    uint64_t began = bench_now_us();
    HANDLE bare = open(filter, 0, PRIORITY, 0);
    uint64_t took = bench_now_us() - began;
    if (bare == INVALID_HANDLE_VALUE) {
        json_error(answer, "WinDivertOpen", GetLastError());
        return;
    }
    close(bare);
    json_number(answer, "open_us", (long long)took);
}

static void command_time_start(const struct command *c, struct json *answer)
{
    redirector_config config = {.size = sizeof config, .log_path = ""};
    redirector_error error = {.size = sizeof error};
    redirector *r;
    config.client_pid = (uint32_t)command_number(c, "client", 0);
    config.proxy_port = (uint32_t)command_number(c, "proxy", 0);
    config.flags = (uint32_t)command_number(c, "flags", 0);
    uint64_t began = bench_now_us();
    if (redirector_start(&config, &r, &error) != REDIRECTOR_OK) {
        json_error(answer, error.text, error.os_error);
        return;
    }
    json_number(answer, "start_us", (long long)(bench_now_us() - began));
    began = bench_now_us();
    redirector_stop(r);
    json_number(answer, "stop_us", (long long)(bench_now_us() - began));
    redirector_free(r);
}

const struct command_entry pass_commands[] = {
    {"pass_open", command_pass_open},
    {"pass_close", command_pass_close},
    {"time_open", command_time_open},
    {"time_start", command_time_start},
    {NULL, NULL},
};
