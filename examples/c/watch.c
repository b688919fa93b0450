/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * watch AGENT_PID PROXY_PORT PID...
 *
 * Redirects the connections of some running programs to another process' proxy, and lists them for each line of
 * standard input, until its end. Shows several roots, the log by callback, the list of connections, the counters.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>
#include <windows_redirector.h>

enum { ROOTS_MAX = 64, FLOWS_MAX = 1000 };

/* Runs on the library's log thread. */
static void log_line(void *context, uint32_t level, const char *line)
{
    (void)context;
    if (level <= REDIRECTOR_LOG_WARN) {
        fprintf(stderr, "redirector: %s\n", line);
    }
}

static void print_address(const redirector_address *a)
{
    char text[64] = "";
    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, text, sizeof text);
    printf("%s", text);
    if (a->scope) {
        printf("%%%u", a->scope); /* of a link-local address */
    }
    printf(" port %u", a->port);
}

static void print_connections(redirector *r)
{
    static redirector_flow flows[FLOWS_MAX];
    uint32_t total = 0;
    flows[0].size = sizeof flows[0];
    if (redirector_list_flows(r, flows, FLOWS_MAX, &total) != REDIRECTOR_OK) {
        return;
    }
    for (uint32_t i = 0; i < total && i < FLOWS_MAX; i++) {
        printf("pid %u: ", flows[i].pid);
        print_address(&flows[i].client);
        printf(" -> ");
        print_address(&flows[i].destination);
        printf(", %llu bytes up, %llu bytes down, %llu ms\n", (unsigned long long)flows[i].bytes_up,
               (unsigned long long)flows[i].bytes_down, (unsigned long long)flows[i].age_ms);
    }
    redirector_stats stats = {.size = sizeof stats};
    redirector_get_stats(r, &stats);
    printf("%u live, %llu in all; packets wait %llu us on average\n", total, (unsigned long long)stats.flows_total,
           (unsigned long long)stats.queue_delay_mean_us);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint32_t roots[ROOTS_MAX];
    redirector_config config = {.size = sizeof config, .roots = roots, .log_path = "", .log_fn = log_line};
    redirector_error error = {.size = sizeof error};
    redirector *r;
    if (argc < 4 || argc > 3 + ROOTS_MAX) {
        fprintf(stderr, "usage: watch AGENT_PID PROXY_PORT PID... (up to %d)\n", ROOTS_MAX);
        return 2;
    }
    config.agent_pid = (uint32_t)strtoul(argv[1], NULL, 10);
    config.proxy_port = (uint32_t)strtoul(argv[2], NULL, 10);
    for (int i = 3; i < argc; i++) {
        roots[config.root_count++] = (uint32_t)strtoul(argv[i], NULL, 10);
    }
    if (redirector_start(&config, &r, &error) != REDIRECTOR_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("watching\n");
    fflush(stdout);
    for (int c; (c = getchar()) != EOF;) {
        if (c == '\n') {
            print_connections(r);
        }
    }
    if (redirector_get_state(r, &error) == REDIRECTOR_FAILED) {
        fprintf(stderr, "redirection had ended: %s\n", error.text);
    }
    redirector_free(r); /* stops it, too */
    return 0;
}
