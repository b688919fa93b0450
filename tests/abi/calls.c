/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file calls.c
 * Makes the calls of the header that need no driver, as a stranger's program would. Built three times by tests/abi/run:
 * with the archive, with the DLL's import library, and as C++; so it is written in what C11 and C++17 have in common.
 *
 * Prints a line per check and ends "N passed, N failed".
 */
#include "layout.h"

#include <stdio.h>
#include <string.h>

static int passed, failed;

static void check(int condition, const char *name)
{
    printf("%s %s\n", condition ? "ok" : "FAIL", name);
    if (condition) {
        passed++;
    } else {
        failed++;
    }
}

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

/* The instance calls check their arguments, and a structure of a size that they do not know is refused. */
static void check_arguments(void)
{
    redirector *r = (redirector *)&passed; /* anything but NULL */
    redirector_error error;
    error.size = sizeof error;
    check(redirector_start(NULL, &r, &error) == REDIRECTOR_INVALID_ARGUMENT && r == NULL,
          "start without a configuration");

    redirector_config config;
    memset(&config, 0, sizeof config);
    r = (redirector *)&passed;
    check(redirector_start(&config, &r, &error) == REDIRECTOR_INVALID_ARGUMENT && r == NULL,
          "start with a configuration of size 0");

    memset(&error, 0, sizeof error);
    check(redirector_last_error(&error) == REDIRECTOR_INVALID_ARGUMENT, "an error structure of size 0");
    check(redirector_last_error(NULL) == REDIRECTOR_INVALID_ARGUMENT, "no error structure");
    check(redirector_lookup(NULL, NULL, NULL) == REDIRECTOR_INVALID_ARGUMENT, "lookup without arguments");
    check(redirector_forget(NULL, NULL) == REDIRECTOR_INVALID_ARGUMENT, "forget without arguments");
    check(redirector_get_stats(NULL, NULL) == REDIRECTOR_INVALID_ARGUMENT, "statistics without arguments");
    check(redirector_stop(NULL) == REDIRECTOR_INVALID_ARGUMENT || redirector_stop(NULL) == REDIRECTOR_OK,
          "stop of nothing comes back");
    redirector_free(NULL);
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

static uint32_t rules_status(const redirector_rule *rules, uint32_t count)
{
    redirector_config config = sound_config();
    config.rules = rules;
    config.rule_count = count;
    return start_status(&config);
}

/* Numbers at both sides of each limit: those inside get as far as the client that never was. */
static void check_limits(void)
{
    static const struct {
        uint32_t hold_ms, look_ms, flags, level, status;
    } cases[] = {
        {1000, 100, 7, REDIRECTOR_LOG_DEBUG, REDIRECTOR_NO_SUCH_PROCESS},
        {1000, 600000, 0, 0, REDIRECTOR_NO_SUCH_PROCESS},
        {1001, 0, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 99, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 600001, 0, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 0, 8, 0, REDIRECTOR_INVALID_ARGUMENT},
        {0, 0, 0, REDIRECTOR_LOG_DEBUG + 1, REDIRECTOR_INVALID_ARGUMENT},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        redirector_config config = sound_config();
        config.hold_ms = cases[i].hold_ms;
        config.look_ms = cases[i].look_ms;
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

static void check_rules(void)
{
    static redirector_rule many[257];
    static char longest[513], too_long[514];
    memset(longest, 'a', sizeof longest - 1);
    memset(too_long, 'a', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i].pid = 8;
    }
    const redirector_rule good[] = {{1, 8, NULL}, {0, 0, "*\\tools\\?.exe"}, {1, 0, longest}};
    const redirector_rule not_a_word = {2, 8, NULL}, both = {1, 8, "a"}, empty = {1, 0, ""}, over = {1, 0, too_long};
    const uint32_t refused = REDIRECTOR_INVALID_ARGUMENT;
    check(rules_status(good, 3) == REDIRECTOR_NO_SUCH_PROCESS, "rules by process, name and path");
    check(rules_status(many, 256) == REDIRECTOR_NO_SUCH_PROCESS, "256 rules");
    check(rules_status(many, 257) == refused, "257 rules are too many");
    check(rules_status(NULL, 1) == refused, "rules that are not there");
    check(rules_status(&not_a_word, 1) == refused, "a rule that neither includes nor excludes");
    check(rules_status(&both, 1) == refused, "a rule with a process and a pattern");
    check(rules_status(&empty, 1) == refused, "an empty pattern");
    check(rules_status(&over, 1) == refused, "a pattern of 513 bytes");
    check(redirector_set_rules(NULL, NULL, 0) == refused, "rules for nothing");
}

int main(void)
{
    check_texts();
    check_miss();
    check_refusals();
    check_arguments();
    check_limits();
    check_rules();
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
