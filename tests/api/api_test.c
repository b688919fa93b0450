/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The extended calls against a driver: several roots, descendants only, the list of live connections, counters, sizes
 * of earlier headers. Run in the lab by tests/api/lab_test.sh, with the examples beside it. This process is the agent;
 * workers (worker.h) are the programs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/layout.h"
#include "worker.h"

static const char own4[] = "10.77.0.1", own6[] = "fd77::1"; /* the host's, where the servers of this test are */

enum { WAIT_MS = 20000 };

static int passed, failed;

static void check(int condition, const char *name)
{
    printf("%s %s\n", condition ? "ok" : "FAIL", name);
    fflush(stdout);
    passed += condition ? 1 : 0;
    failed += condition ? 0 : 1;
}

/* ---- the stage */

static struct server proxy4 = {.word = 'P'}, proxy6 = {.word = 'P'}, incoming = {.word = 'I'};
static int proxy_port, incoming_port;
static struct worker a, b, bystander; /* the bystander is in no tree, and serves as the world */
static int world4, world6;

static void set_stage(void)
{
    proxy_port = server_start(&proxy4, "127.0.0.1", 0);
    server_start(&proxy6, "::1", proxy_port);
    incoming_port = server_start(&incoming, "0.0.0.0", 0);
    a = worker_start();
    b = worker_start();
    bystander = worker_start();
    worker_do(&a, "child pid"); /* before there are connections, which a child would inherit */
    worker_do(&b, "child pid");
    world4 = atoi(worker_do(&bystander, "listen %s", own4));
    world6 = atoi(worker_do(&bystander, "listen %s", own6));
}

static redirector_config base_config(void)
{
    redirector_config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.proxy_port = (uint32_t)proxy_port;
    config.log_path = "";
    return config;
}

static redirector *start(const redirector_config *config, const char *name)
{
    redirector *r = NULL;
    redirector_error error = {.size = sizeof error};
    redirector_start(config, &r, &error);
    check(r != NULL, name);
    if (!r) {
        printf("     %s\n", error.text);
    }
    return r;
}

/* Who answers a connection to the world: 'P' the proxy, 'L' the world itself. */
static char who(struct worker *w, const char *prefix)
{
    char word = *worker_do(w, "%sdial %s %d", prefix, own4, world4);
    worker_do(w, "%sclose", prefix);
    return word;
}

/* ---- roots */

static void test_several_roots(void)
{
    redirector_config config = base_config();
    uint32_t roots[] = {a.pid, b.pid, a.pid};
    config.roots = roots;
    config.root_count = 3;
    redirector *r = start(&config, "start with roots and no client");
    if (!r) {
        return;
    }
    check(who(&a, "") == 'P' && who(&b, "") == 'P', "each root is redirected");
    check(who(&a, "child ") == 'P' && who(&b, "child ") == 'P', "the child of each root is redirected");
    check(who(&bystander, "") == 'L', "a bystander is not");
    redirector_free(r);

    config.client_pid = a.pid;
    roots[0] = b.pid;
    config.root_count = 1;
    r = start(&config, "start with a client and a root");
    if (r) {
        check(who(&a, "") == 'P' && who(&b, "") == 'P', "both are redirected");
        redirector_free(r);
    }

    roots[0] = 0x7FFFFFF8;
    redirector_error error = {.size = sizeof error};
    check(redirector_start(&config, &r, &error) == REDIRECTOR_NO_SUCH_PROCESS && !r,
          "one root that never was spoils it");
    check(who(&a, "") == 'L' && who(&b, "") == 'L', "then nothing is redirected");
}

static void test_descendants_only(void)
{
    redirector_config config = base_config();
    uint32_t agent = GetCurrentProcessId();
    config.client_pid = a.pid;
    config.roots = &agent;
    config.root_count = 1;
    config.flags = REDIRECTOR_DESCENDANTS_ONLY;
    redirector *r = start(&config, "start for descendants only, the agent's included");
    if (!r) {
        return;
    }
    check(who(&a, "") == 'L', "the root itself is not redirected, though it descends from another");
    check(who(&a, "child ") == 'P', "its child is");
    check(who(&b, "") == 'P', "a child of the agent is");
    redirector_rule rule = {.size = sizeof rule, .action = REDIRECTOR_RULE_REDIRECT, .pid = a.pid};
    check(redirector_set_rules(r, &rule, 1, NULL) == REDIRECTOR_OK && who(&a, "") == 'P', "a rule includes the root");
    redirector_free(r);
}

static void test_earlier_config(void)
{
    redirector_config config = base_config();
    config.size = LAYOUT_CONFIG_WITHOUT_ROOTS;
    config.client_pid = a.pid;
    config.root_count = 1; /* not there for a program with an earlier header */
    redirector *r = start(&config, "start with a configuration of an earlier size");
    if (r) {
        check(who(&a, "") == 'P', "and it redirects");
        redirector_free(r);
    }
}

/* ---- live connections */

static int address_is(const redirector_address *address, const char *text, int port)
{
    unsigned char bytes[16] = {0};
    int family = strchr(text, ':') ? 6 : 4;
    inet_pton(family == 6 ? AF_INET6 : AF_INET, text, bytes);
    return address->family == (uint32_t)family && address->port == (uint32_t)port &&
           memcmp(address->bytes, bytes, sizeof bytes) == 0;
}

static redirector_flow *find(redirector_flow *flows, uint32_t count, int client_port)
{
    for (uint32_t i = 0; i < count; i++) {
        if (flows[i].client.port == (uint32_t)client_port) {
            return &flows[i];
        }
    }
    return NULL;
}

static uint64_t unix_ms(void)
{
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return (((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) - 116444736000000000) / 10000;
}

static uint32_t count_flows(redirector *r)
{
    uint32_t total = UINT32_MAX;
    return redirector_list_flows(r, NULL, 0, &total) == REDIRECTOR_OK ? total : UINT32_MAX;
}

/* Connections are seen a moment before their packets are all counted, and end a moment after they were closed. */
static int flows_become(redirector *r, uint32_t count)
{
    for (ULONGLONG end = GetTickCount64() + WAIT_MS; GetTickCount64() < end; Sleep(10)) {
        if (count_flows(r) == count) {
            return 1;
        }
    }
    return 0;
}

static void check_flow(redirector *r, redirector_flow *f, const char *own, int world, int port, uint32_t pid,
                       const char *name)
{
    redirector_destination d = {.size = sizeof d};
    char text[80];
    snprintf(text, sizeof text, "%s is listed with both its ends", name);
    check(f && address_is(&f->client, own, port) && address_is(&f->destination, own, world) && f->pid == pid &&
              f->size == sizeof *f,
          text);
    snprintf(text, sizeof text, "%s: lookup of the listed peer finds the listed destination", name);
    check(f && redirector_lookup(r, &f->peer, &d) == REDIRECTOR_OK && d.pid == f->pid && d.incoming == f->kind &&
              memcmp(&d.destination, &f->destination, sizeof d.destination) == 0,
          text);
}

static void test_list(void)
{
    enum { BYTES = 100000 };
    static redirector_flow flows[8];
    redirector_config config = base_config();
    config.client_pid = a.pid;
    config.incoming_port = (uint32_t)incoming_port;
    redirector *r = start(&config, "start in both directions");
    if (!r) {
        return;
    }
    check(count_flows(r) == 0, "nothing is listed where nothing is");
    uint64_t before = unix_ms();
    int port4 = atoi(worker_do(&a, "dial %s %d", own4, world4) + 1);
    check(strcmp(worker_do(&a, "send %d", BYTES), "sent") == 0, "bytes go through");
    int port6 = atoi(worker_do(&a, "child dial %s %d", own6, world6) + 1);
    uint32_t child = (uint32_t)atoi(worker_do(&a, "child pid"));
    int listener = atoi(worker_do(&a, "listen %s", own4));
    int port_in = atoi(worker_do(&bystander, "dial %s %d", own4, listener) + 1);
    uint64_t after = unix_ms();

    uint32_t total = 0;
    flows[0].size = sizeof flows[0];
    flows[3].pid = 0x5A5A5A5A;
    check(redirector_list_flows(r, flows, 8, &total) == REDIRECTOR_OK && total == 3, "three connections are listed");
    check(flows[3].pid == 0x5A5A5A5A, "what lies behind them is not touched");
    redirector_flow *f4 = find(flows, total, port4), *f6 = find(flows, total, port6), *in = find(flows, total, port_in);
    check_flow(r, f4, own4, world4, port4, a.pid, "IPv4");
    check_flow(r, f6, own6, world6, port6, child, "IPv6");
    check_flow(r, in, own4, listener, port_in, a.pid, "incoming");
    check(f4 && f6 && in && f4->kind == REDIRECTOR_FLOW_OUTGOING && f6->kind == REDIRECTOR_FLOW_OUTGOING &&
              in->kind == REDIRECTOR_FLOW_INCOMING,
          "the kind of each");
    check(f4 && f6 && in && f4->state == REDIRECTOR_FLOW_OPEN && f6->state == REDIRECTOR_FLOW_OPEN &&
              in->state == REDIRECTOR_FLOW_OPEN,
          "the state of each");
    check(f4 && f6 && f4->bytes_up == BYTES + 4 && f4->bytes_down == 2 && f6->bytes_up == 0 && f6->bytes_down == 1,
          "the bytes of each");
    check(f4 && f4->packets_up > 3 && f4->packets_down > 2, "the packets");
    check(f4 && f4->opened_ms >= before - 2000 && f4->opened_ms <= after + 2000, "when it was opened");
    check(f4 && in && f4->age_ms >= in->age_ms && f4->age_ms <= unix_ms() - before + 2000, "how old it is");

    redirector_flow one = {.size = sizeof one};
    check(redirector_list_flows(r, &one, 1, &total) == REDIRECTOR_OK && total == 3 && one.size == sizeof one &&
              find(flows, 3, (int)one.client.port),
          "a list for which there is no room is cut, and counts all the same");

    worker_do(&a, "close");
    worker_do(&a, "child close");
    worker_do(&bystander, "close");
    check(flows_become(r, 0), "after their end they are listed no more");
    check(redirector_stop(r) == REDIRECTOR_OK, "stop");
    total = 7;
    check(redirector_list_flows(r, flows, 8, &total) == REDIRECTOR_NOT_RUNNING && total == 0, "no list after stop");
    redirector_free(r);
}

/* ---- many askers */

static redirector *asked;
static volatile LONG asking, wrong;

static DWORD WINAPI ask(void *rules)
{
    static redirector_flow room[2][64];
    redirector_flow *flows = room[rules != NULL];
    while (asking) {
        uint32_t total;
        flows[0].size = sizeof flows[0];
        uint32_t status =
            rules ? redirector_set_rules(asked, NULL, 0, NULL) : redirector_list_flows(asked, flows, 64, &total);
        if (status != REDIRECTOR_OK) {
            InterlockedIncrement(&wrong);
        }
    }
    return 0;
}

static void test_many_askers(void)
{
    redirector_config config = base_config();
    config.client_pid = a.pid;
    asked = start(&config, "start, to be asked by several at once");
    if (!asked) {
        return;
    }
    int redirected = 0, rules = 1;
    asking = 1;
    HANDLE threads[] = {CreateThread(NULL, 0, ask, NULL, 0, NULL), CreateThread(NULL, 0, ask, &rules, 0, NULL)};
    for (int i = 0; i < 50; i++) {
        redirected += who(&a, "") == 'P';
    }
    asking = 0;
    WaitForMultipleObjects(2, threads, TRUE, INFINITE);
    CloseHandle(threads[0]);
    CloseHandle(threads[1]);
    check(redirected == 50 && wrong == 0, "lists and new rules all the time, and connections are redirected");
    redirector_free(asked);
}

/* ---- counters */

static void test_stats(void)
{
    redirector_config config = base_config();
    config.client_pid = a.pid;
    redirector *r = start(&config, "start, for the counters");
    if (!r) {
        return;
    }
    check(who(&a, "") == 'P', "a connection");
    redirector_stats s = {.size = sizeof s};
    check(redirector_get_stats(r, &s) == REDIRECTOR_OK && s.flows_total == 1 && s.packets_seen > 0, "the counters");
    check(s.queue_delay_max_us > 0 && s.queue_delay_mean_us <= s.queue_delay_max_us &&
              s.queue_delay_last_us <= s.queue_delay_max_us && s.queue_delay_max_us < WAIT_MS * 1000,
          "packets have waited in the driver's queue, and the mean is not above the longest");
    printf("     queue delay: last %llu, max %llu, mean %llu us\n", (unsigned long long)s.queue_delay_last_us,
           (unsigned long long)s.queue_delay_max_us, (unsigned long long)s.queue_delay_mean_us);

    redirector_stats earlier;
    memset(&earlier, 0x5A, sizeof earlier);
    earlier.size = LAYOUT_STATS_WITHOUT_DELAY;
    check(redirector_get_stats(r, &earlier) == REDIRECTOR_OK && earlier.flows_total == 1 &&
              earlier.size == LAYOUT_STATS_WITHOUT_DELAY,
          "the counters of an earlier size");
    check(earlier.queue_delay_last_us == 0x5A5A5A5A5A5A5A5A && earlier.filter_replacements == 0x5A5A5A5A5A5A5A5A,
          "and nothing behind them");
    redirector_free(r);
}

/* ---- the examples, as programs of their own */

/* examples/c/watch.c: this process is the agent, the two workers are roots. */
static void test_watch(void)
{
    char command[100], want[200];
    unsigned long agent = GetCurrentProcessId();
    snprintf(command, sizeof command, "watch.exe %lu %d %lu %lu", agent, proxy_port, a.pid, b.pid);
    struct worker watch = worker_start_program(command);
    check(strcmp(worker_line(&watch), "watching") == 0, "watch.c starts");
    int port = atoi(worker_do(&b, "dial %s %d", own4, world4) + 1);
    snprintf(want, sizeof want, "pid %lu: %s port %d -> %s port %d, 0 bytes up, 1 bytes down, ", b.pid, own4, port,
             own4, world4);
    const char *line = worker_do(&watch, "%s", "");
    check(strncmp(line, want, strlen(want)) == 0, "watch.c lists the connection");
    check(strncmp(worker_line(&watch), "1 live, 1 in all; ", 18) == 0, "watch.c counts it");
    worker_do(&b, "close");
    worker_end(&watch);
    check(who(&b, "") == 'L', "when watch.c has ended, nothing is redirected");
}

/* examples/cpp/rules.cpp */
static void test_rules(void)
{
    char command[100];
    snprintf(command, sizeof command, "rules.exe %lu %d %lu", GetCurrentProcessId(), proxy_port, a.pid);
    struct worker rules = worker_start_program(command);
    check(strcmp(worker_line(&rules), "ready") == 0, "rules.cpp starts");
    check(*worker_do(&a, "dial %s %d", own4, world4) == 'P', "without rules the program is redirected");
    check(strcmp(worker_do(&rules, "."), "ok 1") == 0, "rules.cpp counts the connection");
    worker_do(&rules, "- API_test.exe");
    check(*worker_do(&a, "dial %s %d", own4, world4) == 'L', "excluded by its name it is not");
    worker_do(&rules, "+ *\\api?test.*");
    check(*worker_do(&a, "dial %s %d", own4, world4) == 'P', "included by its path it is again");
    worker_do(&rules, "! %s/32", own4);
    check(strcmp(worker_do(&a, "dial %s %d", own4, world4), "error 10061") == 0,
          "what goes to a blocked network is refused");
    check(strstr(worker_do(&rules, "! %s/33", own4), "rule 3: its prefix is longer than its address") != NULL,
          "a rule that is not right is told of");
    worker_do(&a, "close");
    worker_end(&rules);
}

int main(int argc, char **argv)
{
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    if (argc == 4 && strcmp(argv[1], "visit") == 0) {
        return worker_visit(argv[2], argv[3]);
    }
    if (argc == 2) {
        return worker_main();
    }
    set_stage();
    test_several_roots();
    test_descendants_only();
    test_earlier_config();
    test_list();
    test_many_askers();
    test_stats();
    test_watch();
    test_rules();
    worker_end(&a);
    worker_end(&b);
    worker_end(&bystander);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
