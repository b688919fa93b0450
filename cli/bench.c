/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector bench: what redirection costs on this machine, against a loop that passes the same packets and does
 * nothing else (pass_loop.c).
 *
 * This process is the agent and serves; a child of it is the tree. Each round lets the child do the same three things
 * three times: with no handle of the driver open; with the bare loop, connecting to the server's port itself;
 * redirected, connecting to a port where nobody listens. All of it goes over loopback, so that both paths are the
 * same one, packet for packet, and the ratio of the last two is what redirection costs. Every other round goes
 * backwards, so that what changes on the machine meanwhile changes it for all.
 */
#include "bench.h"

#include "bench_load.h"
#include "options.h"
#include "output.h"
#include "pass_loop.h"
#include "text.h"
#include "windows_redirector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, CONNECTIONS = 200, TRIAL_BYTES = 2 << 20, LEAST_BYTES = 4 << 20, MOST_BYTES = 512 << 20 };

enum way { WAY_PLAIN, WAY_BARE, WAY_REDIRECTED, WAYS };
enum row { ROW_DOWN, ROW_UP, ROW_RATE, ROW_CONNECT, ROWS };

static const struct {
    const char *name, *unit, *json;
} rows[ROWS] = {
    {"download", "MB/s", "download_mb_s"},
    {"upload", "MB/s", "upload_mb_s"},
    {"new connections", "1/s", "connections_s"},
    {"time to connect", "us", "connect_us"},
};
static const char *const way_names[WAYS] = {"plain", "bare", "redirected"};

struct bench {
    bool json;
    char *windivert_dir; /* UTF-8, absolute; NULL: beside this program */
    wchar_t dll[MAX_PATH];
    uint16_t server_port, dead_port;
    uint64_t bytes;
    struct bench_client client;
    double results[ROWS][WAYS][ROUNDS];
};

/* ---- measuring */

/* Everything the child does, to this port. False: it failed. */
static bool run_tasks(struct bench *b, uint16_t port, enum way w, int round)
{
    struct bench_answer down, up, connects;
    if (!bench_client_do(&b->client, BENCH_DOWNLOAD, port, b->bytes, &down) ||
        !bench_client_do(&b->client, BENCH_UPLOAD, port, b->bytes, &up) ||
        !bench_client_do(&b->client, BENCH_CONNECT, port, CONNECTIONS, &connects)) {
        output_message("a connection to port %u failed (%s)", port, way_names[w]);
        return false;
    }
    b->results[ROW_DOWN][w][round] = (double)b->bytes / (double)down.total_us;
    b->results[ROW_UP][w][round] = (double)b->bytes / (double)up.total_us;
    b->results[ROW_RATE][w][round] = CONNECTIONS * 1e6 / (double)connects.total_us;
    b->results[ROW_CONNECT][w][round] = (double)connects.connect_us;
    return true;
}

static struct pass_loop *open_bare(const struct bench *b)
{
    char filter[160];
    snprintf(filter, sizeof filter, "outbound and tcp and (tcp.SrcPort == %u or tcp.DstPort == %u)", b->server_port,
             b->server_port);
    return pass_loop_open(b->dll, filter);
}

static bool run_bare(struct bench *b, int round)
{
    struct pass_loop_counts counts;
    struct pass_loop *loop = open_bare(b);
    if (!loop) {
        output_message("the driver cannot be opened for the bare loop (error %lu)", GetLastError());
        return false;
    }
    bool ok = run_tasks(b, b->server_port, WAY_BARE, round);
    pass_loop_close(loop, &counts);
    if (ok && !counts.packets) {
        output_message("the bare loop has seen no packet");
        return false;
    }
    return ok;
}

static bool run_redirected(struct bench *b, int round)
{
    redirector_config config = {.size = sizeof config,
                                .client_pid = b->client.pid,
                                .proxy_port = b->server_port,
                                .windivert_dir = b->windivert_dir,
                                .log_path = ""};
    redirector_error error = {.size = sizeof error};
    redirector_stats stats = {.size = sizeof stats};
    redirector *r;
    if (redirector_start(&config, &r, &error) != REDIRECTOR_OK) {
        output_message("%s", error.text);
        return false;
    }
    bool ok = run_tasks(b, b->dead_port, WAY_REDIRECTED, round);
    redirector_get_stats(r, &stats);
    redirector_free(r);
    if (ok && stats.flows_total < CONNECTIONS) {
        output_message("only %llu connections were redirected", (unsigned long long)stats.flows_total);
        return false;
    }
    return ok;
}

static bool run_round(struct bench *b, int round)
{
    for (int i = 0; i < WAYS; i++) {
        enum way w = (enum way)(round % 2 ? WAYS - 1 - i : i);
        bool ok = w == WAY_PLAIN  ? run_tasks(b, b->server_port, w, round)
                  : w == WAY_BARE ? run_bare(b, round)
                                  : run_redirected(b, round);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* About a second a transfer, by how quick the bare loop is here. */
static bool choose_bytes(struct bench *b)
{
    struct bench_answer trial;
    struct pass_loop *loop = open_bare(b);
    if (!loop) {
        output_message("%ls with its driver cannot be opened (error %lu); run as Administrator, with WinDivert.dll and "
                       "WinDivert64.sys of 2.2.2 there",
                       b->dll, GetLastError());
        return false;
    }
    bool ok = bench_client_do(&b->client, BENCH_DOWNLOAD, b->server_port, TRIAL_BYTES, &trial);
    pass_loop_close(loop, NULL);
    if (!ok) {
        output_message("a connection over loopback failed");
        return false;
    }
    uint64_t bytes = (uint64_t)TRIAL_BYTES * 1000000 / trial.total_us;
    b->bytes = bytes < LEAST_BYTES ? LEAST_BYTES : bytes > MOST_BYTES ? MOST_BYTES : bytes;
    return true;
}

/* ---- telling */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct summary {
    double median, least, most;
};

static struct summary summarize(const double values[ROUNDS])
{
    double sorted[ROUNDS];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof sorted[0], by_value);
    return (struct summary){sorted[ROUNDS / 2], sorted[0], sorted[ROUNDS - 1]};
}

/* Redirected against bare, round by round; of connecting, what each adds to the time without a handle. */
static struct summary ratio_of(const struct bench *b, enum row r)
{
    double ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double none = r == ROW_CONNECT ? b->results[r][WAY_PLAIN][i] : 0;
        ratios[i] = (b->results[r][WAY_REDIRECTED][i] - none) / (b->results[r][WAY_BARE][i] - none);
    }
    return summarize(ratios);
}

static void tell_table(const struct bench *b)
{
    char line[256];
    snprintf(line, sizeof line, "loopback, %llu MiB each way and %d connections in turn; medians of %d rounds\n\n",
             (unsigned long long)(b->bytes >> 20), CONNECTIONS, ROUNDS);
    output_text(line);
    snprintf(line, sizeof line, "%-22s %12s %12s %12s   %s\n", "", "no driver", "bare loop", "redirected",
             "redirected : bare (least .. most)");
    output_text(line);
    for (enum row r = 0; r < ROWS; r++) {
        char label[32];
        struct summary ratio = ratio_of(b, r);
        snprintf(label, sizeof label, "%s, %s", rows[r].name, rows[r].unit);
        snprintf(line, sizeof line, "%-22s %12.1f %12.1f %12.1f   %.2f (%.2f .. %.2f)%s\n", label,
                 summarize(b->results[r][WAY_PLAIN]).median, summarize(b->results[r][WAY_BARE]).median,
                 summarize(b->results[r][WAY_REDIRECTED]).median, ratio.median, ratio.least, ratio.most,
                 r == ROW_CONNECT ? " of the time added" : "");
        output_text(line);
    }
}

static void tell_json(const struct bench *b)
{
    char part[256];
    snprintf(part, sizeof part, "{\"version\":\"%s\",\"bytes\":%llu,\"connections\":%d,\"rounds\":%d",
             redirector_version(), (unsigned long long)b->bytes, CONNECTIONS, ROUNDS);
    output_text(part);
    for (enum row r = 0; r < ROWS; r++) {
        snprintf(part, sizeof part, ",\"%s\":{", rows[r].json);
        output_text(part);
        for (enum way w = 0; w < WAYS; w++) {
            struct summary s = summarize(b->results[r][w]);
            snprintf(part, sizeof part, "\"%s\":{\"median\":%.1f,\"least\":%.1f,\"most\":%.1f},", way_names[w],
                     s.median, s.least, s.most);
            output_text(part);
        }
        struct summary s = ratio_of(b, r);
        snprintf(part, sizeof part, "\"ratio\":{\"median\":%.3f,\"least\":%.3f,\"most\":%.3f}}", s.median, s.least,
                 s.most);
        output_text(part);
    }
    output_text("}\n");
}

/* ---- the command */

static bool read_options(struct bench *b, wchar_t **argv)
{
    for (; *argv; argv++) {
        if (wcscmp(*argv, L"--json") == 0) {
            b->json = true;
        } else if (wcscmp(*argv, L"--windivert") == 0 && argv[1]) {
            wchar_t full[MAX_PATH];
            DWORD length = GetFullPathNameW(*++argv, MAX_PATH, full, NULL);
            free(b->windivert_dir);
            b->windivert_dir = length && length < MAX_PATH ? text_utf8(full) : NULL;
            if (!b->windivert_dir || _snwprintf(b->dll, MAX_PATH, L"%ls\\WinDivert.dll", full) < 0) {
                return false;
            }
        } else {
            return false;
        }
    }
    return true;
}

/* By its full path only: a program with administrator rights must not load a DLL that anyone left elsewhere (S7). */
static bool dll_beside_us(struct bench *b)
{
    static const wchar_t name[] = L"WinDivert.dll";
    DWORD length = GetModuleFileNameW(NULL, b->dll, MAX_PATH);
    wchar_t *slash = length && length < MAX_PATH ? wcsrchr(b->dll, L'\\') : NULL;
    if (!slash || (size_t)(slash + 1 - b->dll) + sizeof name / sizeof name[0] > MAX_PATH) {
        return false;
    }
    memcpy(slash + 1, name, sizeof name);
    return true;
}

static bool measure(struct bench *b)
{
    if (!choose_bytes(b)) {
        return false;
    }
    for (int round = 0; round < ROUNDS; round++) {
        if (!run_round(b, round)) {
            return false;
        }
    }
    return true;
}

static DWORD run_bench(struct bench *b)
{
    b->server_port = bench_server_open();
    b->dead_port = bench_dead_port();
    if (!b->server_port || !b->dead_port || !bench_client_start(&b->client)) {
        output_message("server and client on loopback cannot be started (error %lu)", GetLastError());
        return EXIT_CANNOT_RUN;
    }
    bool ok = measure(b);
    bench_client_end(&b->client);
    if (!ok) {
        return EXIT_NOT_REDIRECTING;
    }
    (b->json ? tell_json : tell_table)(b);
    return 0;
}

DWORD bench_command(wchar_t **arguments)
{
    static struct bench b;
    if (arguments[0] && wcscmp(arguments[0], BENCH_CLIENT_WORD) == 0) {
        return bench_client_main();
    }
    if (arguments[0] && wcscmp(arguments[0], L"--help") == 0) {
        output_text(options_help);
        return 0;
    }
    if (!dll_beside_us(&b) || !read_options(&b, arguments)) {
        output_message("usage: redirector bench [--json] [--windivert DIR]");
        return EXIT_USAGE;
    }
    DWORD status = run_bench(&b);
    free(b.windivert_dir);
    return status;
}
