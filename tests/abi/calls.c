/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file calls.c
 * Makes the calls of the header that need no driver, as a stranger's program would. Built three times by tests/abi/run:
 * with the archive, with the DLL's import library, and as C++; so it is written in what C11 and C++17 have in common.
 *
 * Prints a line per check and ends "N passed, N failed".
 */
#include "check.h"
#include "layout.h"

#include <stdio.h>
#include <string.h>

static uint32_t last_code(void)
{
    redirector_error error;
    memset(&error, 0xAA, sizeof error);
    error.size = sizeof error;
    return redirector_last_error(&error) == REDIRECTOR_OK && memchr(error.text, 0, sizeof error.text) ? error.code
                                                                                                      : UINT32_MAX;
}

/* A structure of 32 bytes comes back by a hidden pointer: the library must write all of it, and nothing beside it. */
static void check_miss(void)
{
    struct {
        unsigned char before[16];
        WinDest dest;
        unsigned char after[16];
    } box;
    WinDest nothing;
    unsigned char guard[16];
    memset(&nothing, 0, sizeof nothing);
    memset(guard, 0x5A, sizeof guard);
    memset(&box, 0x5A, sizeof box);
    box.dest = get_destination(12345);
    check(memcmp(&box.dest, &nothing, sizeof nothing) == 0, "a lookup miss is all zero");
    check(memcmp(box.before, guard, 16) == 0 && memcmp(box.after, guard, 16) == 0, "a lookup writes 32 bytes");
    free_windest(box.dest);
    check(delete_destination(12345) == 0, "nothing to delete is 0");
    check(get_destination(70000).ip_version == 0, "a port above 65535 is a miss");
}

static void check_refusals(void)
{
    check(start_redirector(1, 0, 65536, 0) == 0 && last_code() == REDIRECTOR_PORT_INVALID, "start: port above 65535");
    check(start_redirector(1, 0, 0, 0) == 0 && last_code() == REDIRECTOR_NO_PORT, "start: both ports 0");
    check(start_redirector(0x7FFFFFFC, 0, 8080, 0) == 0 && last_code() == REDIRECTOR_NO_SUCH_PROCESS,
          "start: no such process");
    check(start_redirector(0x7FFFFFFC, 0, 0, 8080) == 0 && last_code() == REDIRECTOR_NO_SUCH_PROCESS,
          "start: an incoming port alone is enough");
    check(start_redirector(1, 0, 8080, 65536) == 0 && last_code() == REDIRECTOR_PORT_INVALID,
          "start: incoming port above 65535");
    check(stop_redirector() == 1, "stop without start is 1");
}

static void check_texts(void)
{
    check(strcmp(redirector_version(), REDIRECTOR_VERSION_STRING) == 0, "the library has the header's version");
    int misnamed = 0;
#define COUNT_MISNAMED(name, number)                                                                                   \
    if (strcmp(redirector_status_name(number), #name) != 0) {                                                          \
        misnamed++;                                                                                                    \
        printf("     status %d should be called %s\n", number, #name);                                                 \
    }
    LAYOUT_STATUSES(COUNT_MISNAMED)
#undef COUNT_MISNAMED
    check(misnamed == 0, "every status has its name");
    check(strcmp(redirector_status_name(9999), "UNKNOWN") == 0, "an unknown status is called UNKNOWN");
}

/* Calls that refuse their arguments before they look at the instance: so anything but NULL does for one here. */
static redirector *any_instance(void)
{
    return (redirector *)&passed;
}

static void check_arguments(void)
{
    redirector *r = any_instance();
    redirector_error error;
    error.size = sizeof error;
    check(redirector_start(NULL, &r, &error) == REDIRECTOR_INVALID_ARGUMENT && r == NULL,
          "start without a configuration");
    memset(&error, 0, sizeof error);
    check(redirector_last_error(&error) == REDIRECTOR_INVALID_ARGUMENT, "an error structure of size 0");
    check(redirector_last_error(NULL) == REDIRECTOR_INVALID_ARGUMENT, "no error structure");
    check(redirector_set_rules(NULL, NULL, 0, NULL) == REDIRECTOR_INVALID_ARGUMENT, "rules for nothing");
    check(redirector_stop(NULL) == REDIRECTOR_INVALID_ARGUMENT, "stop of nothing");
    check(redirector_get_state(NULL, NULL) == 0, "the state of nothing");
    error.size = sizeof error + 1;
    check(redirector_get_state(any_instance(), &error) == 0 && error.code == 0,
          "the state, with an error structure of another size");
    redirector_free(NULL);
}

static void check_lookup_arguments(void)
{
    const redirector_address good = {4, 80, {127, 0, 0, 1}, 0};
    const redirector_address bad[] = {{0, 80, {0}, 0}, {5, 80, {0}, 0}, {4, 0, {0}, 0}, {6, 65536, {0}, 0}};
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_destination out;
    unsigned char untouched[sizeof out];
    memset(&out, 0x5A, sizeof out);
    out.size = sizeof out;
    memcpy(untouched, &out, sizeof out);
    int wrong = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wrong += redirector_lookup(any_instance(), &bad[i], &out) != refused;
        wrong += redirector_forget(any_instance(), &bad[i]) != refused;
        wrong += redirector_udp_unreachable(any_instance(), &bad[i]) != refused;
    }
    check(wrong == 0, "lookup, forget and unreachable: a family or port that is none");
    check(redirector_lookup(NULL, &good, &out) == refused && redirector_forget(NULL, &good) == refused &&
              redirector_udp_unreachable(NULL, &good) == refused,
          "lookup, forget and unreachable: no instance");
    check(redirector_lookup(any_instance(), NULL, &out) == refused &&
              redirector_forget(any_instance(), NULL) == refused &&
              redirector_udp_unreachable(any_instance(), NULL) == refused,
          "lookup, forget and unreachable: no address");
    check(redirector_lookup(any_instance(), &good, &out) == refused, "lookup: a protocol that is none");
    check(redirector_lookup(any_instance(), &good, NULL) == refused, "lookup: nowhere to put it");
    check(memcmp(&out, untouched, sizeof out) == 0, "a refused lookup writes nothing");
    out.size--;
    check(redirector_lookup(any_instance(), &good, &out) == refused, "lookup: a destination of another size");
}

static void check_decision_arguments(void)
{
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_connection out;
    memset(&out, 0, sizeof out);
    out.size = sizeof out;
    check(redirector_next_connection(NULL, &out, 0) == refused, "next connection: no instance");
    check(redirector_next_connection(any_instance(), NULL, 0) == refused, "next connection: nowhere to put it");
    out.size--;
    check(redirector_next_connection(any_instance(), &out, 0) == refused, "next connection: of another size");
    check(redirector_decide(NULL, 1, REDIRECTOR_ACCEPT) == refused, "decide: no instance");
    check(redirector_decide(any_instance(), 1, 0) == refused && redirector_decide(any_instance(), 1, 5) == refused,
          "decide: no such decision");
}

static void check_stats_arguments(void)
{
    const uint32_t sizes[] = {0,
                              4,
                              LAYOUT_STATS_WITHOUT_DELAY - 8,
                              LAYOUT_STATS_WITHOUT_DELAY + 8,
                              sizeof(redirector_stats) - 1,
                              sizeof(redirector_stats) + 8,
                              UINT32_MAX};
    redirector_stats stats;
    int wrong = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(&stats, 0x5A, sizeof stats);
        stats.size = sizes[i];
        redirector_stats untouched = stats;
        wrong += redirector_get_stats(any_instance(), &stats) != REDIRECTOR_INVALID_ARGUMENT;
        wrong += memcmp(&stats, &untouched, sizeof stats) != 0;
    }
    check(wrong == 0, "statistics of a size that never was are refused and stay as they are");
    stats.size = sizeof stats;
    check(redirector_get_stats(NULL, &stats) == REDIRECTOR_INVALID_ARGUMENT, "statistics of nothing");
    check(redirector_get_stats(any_instance(), NULL) == REDIRECTOR_INVALID_ARGUMENT, "statistics to nowhere");
}

static void check_list_arguments(void)
{
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_flow flows[2];
    uint32_t total = 77;
    memset(flows, 0x5A, sizeof flows);
    flows[0].size = sizeof flows[0];
    check(redirector_list_flows(NULL, flows, 2, &total) == refused, "list: of nothing");
    check(redirector_list_flows(any_instance(), NULL, 2, &total) == refused, "list: to nowhere");
    check(redirector_list_flows(any_instance(), flows, 2, NULL) == refused, "list: no total");
    flows[0].size = sizeof flows[0] - 8;
    check(redirector_list_flows(any_instance(), flows, 2, &total) == refused, "list: elements of another size");
    flows[0].size = 0;
    check(redirector_list_flows(any_instance(), flows, 2, &total) == refused, "list: elements of size 0");
    check(total == 77, "a refused list writes nothing");
}

/* A configuration that is right as far as it can be judged without asking Windows: its client never was. */
static redirector_config sound_config(void)
{
    redirector_config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.client_pid = 0x7FFFFFFC;
    config.proxy_port = 8080;
    config.log_path = "";
    return config;
}

static uint32_t start_status(const redirector_config *config)
{
    redirector *r = (redirector *)&passed; /* anything but NULL */
    uint32_t status = redirector_start(config, &r, NULL);
    return r == NULL ? status : UINT32_MAX;
}

/* Numbers at both sides of each limit: those inside get as far as the client that never was. */
static void check_limits(void)
{
    static const struct {
        uint32_t hold_timeout_ms, scan_interval_ms, flags, level, status;
    } cases[] = {
        {1000, 100, 255, REDIRECTOR_LOG_DEBUG, REDIRECTOR_NO_SUCH_PROCESS},
        {1000, 600000, 0, 0, REDIRECTOR_NO_SUCH_PROCESS},
        {1001, 0, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 99, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 600001, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 0, 1u << 29, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 0, 1u << 31, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 0, 0, REDIRECTOR_LOG_DEBUG + 1, REDIRECTOR_INVALID_ARGUMENT},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        redirector_config config = sound_config();
        config.hold_timeout_ms = cases[i].hold_timeout_ms;
        config.scan_interval_ms = cases[i].scan_interval_ms;
        config.flags = cases[i].flags;
        config.log_level = cases[i].level;
        uint32_t status = start_status(&config);
        if (status != cases[i].status) {
            wrong++;
            printf("     case %d: %s\n", (int)i, redirector_status_name(status));
        }
    }
    check(wrong == 0, "numbers of the configuration are limited as stated");
}

/* A structure as an earlier header had it is accepted, and what lies behind it is not looked at. */
static void check_config_sizes(void)
{
    redirector_config config = sound_config();
    config.size = LAYOUT_CONFIG_WITHOUT_ROOTS;
    config.root_count = config.upstream_count = config.decision_timeout_ms = 0x5A5A5A5A;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "a configuration without roots");
    config = sound_config();
    config.size = LAYOUT_CONFIG_WITHOUT_UPSTREAMS;
    config.upstreams = (const redirector_address *)1;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "a configuration without upstreams");
    config = sound_config();
    config.size = LAYOUT_CONFIG_WITHOUT_LISTEN_PORTS;
    config.listen_ports = (const uint32_t *)1;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "a configuration without listen_ports");
    config = sound_config();
    config.size = LAYOUT_CONFIG_WITHOUT_UDP_PORT;
    config.udp_port = 65536;
    config.udp_idle_ms = 1;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "a configuration without udp_port");
    const uint32_t sizes[] = {0,
                              4,
                              LAYOUT_CONFIG_WITHOUT_ROOTS - 8,
                              LAYOUT_CONFIG_WITHOUT_ROOTS + 8,
                              LAYOUT_CONFIG_WITHOUT_UPSTREAMS - 4,
                              sizeof config - 1,
                              sizeof config + 8,
                              UINT32_MAX};
    int wrong = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        config = sound_config();
        config.size = sizes[i];
        wrong += start_status(&config) != REDIRECTOR_INVALID_ARGUMENT;
    }
    check(wrong == 0, "a configuration of a size that never was");
}

static void check_roots(void)
{
    static uint32_t pids[4097];
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_config config = sound_config();
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        pids[i] = 0x7FFFFFF8;
    }
    config.roots = pids;
    config.root_count = 4096;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "4096 roots");
    config.root_count = 4097;
    check(start_status(&config) == refused, "4097 roots are too many");
    config.roots = NULL;
    config.root_count = 1;
    check(start_status(&config) == refused, "roots that are not there");
    config = sound_config();
    config.decision_timeout_ms = 60001;
    check(start_status(&config) == refused, "a decision time-out above a minute");
    config.decision_timeout_ms = 60000;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "a decision time-out of a minute");

    redirector *r;
    redirector_error error;
    error.size = sizeof error;
    config = sound_config();
    config.client_pid = 0;
    config.roots = pids;
    config.root_count = 1;
    check(redirector_start(&config, &r, &error) == REDIRECTOR_NO_SUCH_PROCESS && strstr(error.text, "2147483640"),
          "a root that never was is named, and client_pid may be 0 beside roots");
    config.root_count = 0;
    check(redirector_start(&config, &r, &error) == REDIRECTOR_NO_SUCH_PROCESS && strstr(error.text, "pid 0"),
          "neither a client nor roots");
}

static void check_upstreams(void)
{
    static redirector_address upstreams[65];
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_config config = sound_config();
    for (size_t i = 0; i < sizeof upstreams / sizeof upstreams[0]; i++) {
        upstreams[i].family = i % 2 ? 4 : 6;
        upstreams[i].port = 65535;
    }
    config.upstreams = upstreams;
    config.upstream_count = 64;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "64 upstreams");
    config.upstream_count = 65;
    check(start_status(&config) == refused, "65 upstreams are too many");
    config.upstream_count = 64;
    upstreams[63].family = 5;
    check(start_status(&config) == refused, "an upstream of a family that does not exist");
    upstreams[63].family = 4;
    upstreams[63].port = 65536;
    check(start_status(&config) == refused, "an upstream's port that does not exist");
    upstreams[63].port = 0;
    check(start_status(&config) == refused, "an upstream without a port");
    config.upstreams = NULL;
    check(start_status(&config) == refused, "upstreams that are not there");
}

static void check_listen_ports(void)
{
    static uint32_t ports[65];
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    redirector_config config = sound_config();
    for (uint32_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        ports[i] = 65535 - i;
    }
    config.listen_ports = ports;
    config.listen_port_count = 64;
    check(start_status(&config) == refused, "ports to listen on without an incoming port");
    config.incoming_port = 8081;
    check(start_status(&config) == REDIRECTOR_NO_SUCH_PROCESS, "64 ports to listen on");
    config.listen_port_count = 65;
    check(start_status(&config) == refused, "65 ports are too many");
    config.listen_port_count = 64;
    const uint32_t wrong[] = {0, 65536, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ports[63] = wrong[i];
        check(start_status(&config) == refused, "a port that is none");
    }
    config.listen_ports = NULL;
    check(start_status(&config) == refused, "ports that are not there");
}

/* Each of the three ports is enough by itself. */
static void check_udp(void)
{
    static const struct {
        uint32_t port, idle_ms, status;
    } cases[] = {
        {1, 0, REDIRECTOR_NO_SUCH_PROCESS},           {65535, 1000, REDIRECTOR_NO_SUCH_PROCESS},
        {65535, 3600000, REDIRECTOR_NO_SUCH_PROCESS}, {65536, 0, REDIRECTOR_PORT_INVALID},
        {UINT32_MAX, 0, REDIRECTOR_PORT_INVALID},     {1, 999, REDIRECTOR_INVALID_ARGUMENT},
        {1, 3600001, REDIRECTOR_INVALID_ARGUMENT},    {0, 0, REDIRECTOR_NO_PORT},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        redirector_config config = sound_config();
        config.proxy_port = 0;
        config.udp_port = cases[i].port;
        config.udp_idle_ms = cases[i].idle_ms;
        uint32_t status = start_status(&config);
        if (status != cases[i].status) {
            wrong++;
            printf("     case %d: %s\n", (int)i, redirector_status_name(status));
        }
    }
    check(wrong == 0, "a UDP port alone is enough, and it and its idle time are limited as stated");
}

/* Whoever reads only the text must be able to tell one mistake from another. */
static char texts[21][sizeof(((redirector_error *)0)->text)];
static int refusals;

static void note_refusal(const redirector_config *config)
{
    redirector *r = any_instance();
    redirector_error error;
    error.size = sizeof error;
    uint32_t status = redirector_start(config, &r, &error);
    if (status != REDIRECTOR_OK && status == error.code && r == NULL) {
        memcpy(texts[refusals++], error.text, sizeof error.text);
    }
}

static void check_distinct_texts(void)
{
    static const struct {
        size_t field;
        uint32_t value;
    } numbers[] = {
        {offsetof(redirector_config, size), 3},
        {offsetof(redirector_config, proxy_port), 65536},
        {offsetof(redirector_config, proxy_port), 0},
        {offsetof(redirector_config, flags), 1u << 30},
        {offsetof(redirector_config, hold_timeout_ms), 1001},
        {offsetof(redirector_config, scan_interval_ms), 1},
        {offsetof(redirector_config, log_level), 6},
        {offsetof(redirector_config, root_count), 4097},
        {offsetof(redirector_config, root_count), 1},
        {offsetof(redirector_config, upstream_count), 65},
        {offsetof(redirector_config, decision_timeout_ms), 60001},
        {offsetof(redirector_config, listen_port_count), 65},
        {offsetof(redirector_config, listen_port_count), 1},
        {offsetof(redirector_config, udp_idle_ms), 999},
        {offsetof(redirector_config, rule_count), 257},
        {offsetof(redirector_config, rule_count), 1},
    };
    note_refusal(NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        redirector_config config = sound_config();
        memcpy((char *)&config + numbers[i].field, &numbers[i].value, sizeof numbers[i].value);
        note_refusal(&config);
    }
    int same = 0;
    for (int i = 0; i < refusals; i++) {
        for (int k = 0; k < i; k++) {
            same += strcmp(texts[i], texts[k]) == 0;
        }
    }
    check(refusals == 17, "each mistake is refused");
    check(same == 0, "each mistake has a text of its own");
}

int main(void)
{
    check_texts();
    check_miss();
    check_refusals();
    check_arguments();
    check_lookup_arguments();
    check_stats_arguments();
    check_list_arguments();
    check_limits();
    check_config_sizes();
    check_decision_arguments();
    check_roots();
    check_upstreams();
    check_listen_ports();
    check_udp();
    check_distinct_texts();
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
