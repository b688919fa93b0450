/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rules as text (R1, R3): what the lines mean, and what is said of each mistake, where. */
#include "../../cli/rules_file.h"

#include "packets.h"

#include <stdio.h>

struct read {
    struct rules_file file;
    char told[8][240]; /* "LINE:COLUMN: text" */
    uint32_t wrong;
};

static void note(void *context, uint32_t line, uint32_t column, const char *what)
{
    struct read *r = context;
    if (r->wrong < 8) {
        snprintf(r->told[r->wrong], sizeof r->told[0], "%u:%u: %s", line, column, what);
    }
    r->wrong++;
}

static const char *check_url(void *context, const char *url)
{
    (void)context;
    return strncmp(url, "socks5://", 9) == 0 || strncmp(url, "http://", 7) == 0 || strcmp(url, "direct") == 0
               ? NULL
               : "it is no proxy";
}

static bool reads(struct read *r, const char *text)
{
    char *exact = malloc(strlen(text) ? strlen(text) : 1); /* nothing behind it may be read */
    memcpy(exact, text, strlen(text));
    *r = (struct read){.wrong = 0};
    const struct rules_file_reader reader = {r, note, check_url};
    bool good = rules_file_read(exact, strlen(text), &reader, &r->file);
    free(exact);
    assert_int_equal(good, r->wrong == 0);
    return good;
}

static void one_line_is_one_rule_and_the_rest_is_ignored(void **state)
{
    (void)state;
    struct read r;
    assert_true(reads(
        &r, "\xef\xbb\xbf# all of it\r\n\n   \t\nredirect # this\r\nblock program \"C:\\Program Files\\x #1\\*\"\n"
            "pass pid 77 outgoing udp"));
    assert_int_equal(r.file.count, 3);
    const redirector_rule *rule = r.file.rules;
    assert_true(rule[0].size == sizeof *rule && rule[0].action == REDIRECTOR_RULE_REDIRECT && !rule[0].pattern);
    assert_int_equal(r.file.lines[0], 4);
    assert_string_equal(rule[1].pattern, "C:\\Program Files\\x #1\\*");
    assert_int_equal(rule[1].action, REDIRECTOR_RULE_BLOCK);
    assert_true(rule[2].action == REDIRECTOR_RULE_PASS && rule[2].pid == 77 && rule[2].protocol == REDIRECTOR_UDP &&
                rule[2].direction == REDIRECTOR_OUTGOING);
    assert_int_equal(r.file.lines[2], 6);
    rules_file_free(&r.file);
    assert_true(reads(&r, "") && r.file.count == 0);
    rules_file_free(&r.file);
}

static void places_and_ports_are_lists_and_each_pair_is_a_rule(void **state)
{
    (void)state;
    struct read r;
    assert_true(reads(&r,
                      "block to 10.0.0.0/8,fd00::1,*.Example.org port 25,8000-8100 tcp\npass from any port 1-65535\n"
                      "redirect to 192.0.2.1/0 listener guard.exe"));
    assert_int_equal(r.file.count, 8);
    const redirector_rule *rule = r.file.rules;
    assert_true(rule[0].family == 4 && rule[0].prefix_length == 8 && rule[0].first_port == 25 &&
                rule[0].last_port == 25);
    assert_true(rule[0].network[0] == 10 && rule[0].protocol == REDIRECTOR_TCP && !rule[0].host);
    assert_true(rule[1].family == 4 && rule[1].first_port == 8000 && rule[1].last_port == 8100);
    assert_true(rule[3].family == 6 && rule[3].prefix_length == 128 && rule[3].network[0] == 0xfd &&
                rule[3].network[15] == 1);
    assert_true(rule[5].family == 0 && rule[5].last_port == 8100);
    assert_string_equal(rule[5].host, "*.Example.org");
    assert_true(rule[6].direction == REDIRECTOR_INCOMING && rule[6].first_port == 1 && rule[6].last_port == 65535);
    assert_true(rule[7].family == 4 && rule[7].prefix_length == 0);
    assert_string_equal(rule[7].listener, "guard.exe");
    rules_file_free(&r.file);
}

static void a_route_has_ways_in_order_and_up_to_two_hops(void **state)
{
    (void)state;
    struct read r;
    assert_true(
        reads(&r, "redirect to a.org through socks5://a:1080 over http://b:8080, http://c, direct # last\nredirect"));
    assert_int_equal(r.file.route_count, 1);
    assert_true(r.file.rules[0].upstream == 1 && r.file.rules[1].upstream == 0);
    const struct route *route = &r.file.routes[0];
    assert_int_equal(route->way_count, 3);
    assert_string_equal(route->ways[0].hops[0], "socks5://a:1080");
    assert_string_equal(route->ways[0].hops[1], "http://b:8080");
    assert_string_equal(route->ways[1].hops[0], "http://c");
    assert_null(route->ways[1].hops[1]);
    assert_string_equal(route->ways[2].hops[0], "direct");
    rules_file_free(&r.file);
}

static void each_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"allow", "1:1: 'allow' is none of redirect, pass and block"},
        {"\"pass\"", "1:2: 'pass' is none of"},
        {"\n\n  pass \xc3\xa4 x", "3:8: '\xc3\xa4' is none of program, pid,"},
        {"pass \"\xc3\xa4\" x", "1:7: '\xc3\xa4' is none of program, pid,"},
        {"pass to \xc3\xa4 x", "1:11: 'x' is none of program"},
        {"pass port 90-80", "1:11: the range 90-80 runs backwards"},
        {"pass port 80,90-80", "1:14: the range 90-80 runs backwards"},
        {"pass port 0", "1:11: '0' is no port"},
        {"pass port 80,", "1:14: '' is no port"},
        {"pass port 65536", "'65536' is no port"},
        {"pass port 80-", "'80-' is no port"},
        {"pass port 80-0", "'80-0' is no port"},
        {"pass port -", "'-' is no port"},
        {"pass port http", "'http' is no port"},
        {"pass to 10.0.0.0/33", "a prefix of 33 bits is longer than the address, which has 32"},
        {"pass to fd00::/129", "a prefix of 129 bits is longer than the address, which has 128"},
        {"pass to 10.0.0.0/x", "'x' is no prefix length"},
        {"pass to 10.0.0.0/", "'' is no prefix length"},
        {"pass to 10.0.0.0/99999999999", "is no prefix length"},
        {"pass to 10.0.0", "1:9: '10.0.0' is neither an address"},
        {"pass to a.org/24", "'a.org' is neither an address"},
        {"pass to a_b$", "is neither an address"},
        {"pass to [::1]", "is neither an address"},
        {"pass to", "an address, a network or a host is missing behind 'to'"},
        {"pass to # x", "1:9: an address, a network or a host is missing behind 'to'"},
        {"pass program \"\"", "a pattern is missing behind 'program'"},
        {"pass program \"a", "1:14: the quotation mark is not closed"},
        {"pass program \"a\"b", "1:17: a blank is missing behind the quotation mark"},
        {"pass program a program b", "'program' stands there twice"},
        {"pass to a.org to b.org", "'to' stands there twice"},
        {"pass port 1 port 2", "'port' stands there twice"},
        {"pass pid 1 pid 2", "'pid' stands there twice"},
        {"pass pid 0", "'0' is no process id"},
        {"pass pid 4294967296", "is no process id"},
        {"pass pid 1 program a", "it has both a pid and a program"},
        {"pass tcp udp", "the protocol stands there twice"},
        {"pass to a.org from b.org", "both incoming and outgoing"},
        {"pass incoming listener a", "'listener' is about where outgoing connections go"},
        {"pass through http://a", "'through' is for what is redirected"},
        {"redirect through", "a proxy is missing behind 'through'"},
        {"redirect through ftp://a", "1:18: it is no proxy"},
        {"redirect through ,", "1:18: a proxy is missing before ','"},
        {"redirect through http://a,", "a proxy is missing behind ','"},
        {"redirect through http://a over", "a proxy is missing behind 'over'"},
        {"redirect through http://a over x", "1:32: it is no proxy"},
        {"redirect through http://a port 80", "'port' is neither 'over' nor the end of the line"},
        {"redirect through http://a over http://b port 80", "1:41: 'port' stands behind two proxies"},
        {"redirect through http://a over http://b over http://c", "'over' stands behind two proxies"},
        {"redirect through http://1, http://2, http://3, http://4, http://5", "more than 4 ways"},
        {"pass \xff", "1:6: this is not UTF-8"},
        {"pass\n\xe2\x82", "2:1: this is not UTF-8"},
        {"p\xff"
         "a",
         "1:2: this is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct read r;
        assert_false(reads(&r, wrong[i].text));
        assert_int_equal(r.wrong, 1);
        if (!strstr(r.told[0], wrong[i].says)) {
            fail_msg("of %s: %s", wrong[i].text, r.told[0]);
        }
        assert_true(r.file.count == 0 && r.file.texts == NULL);
        rules_file_free(&r.file);
    }
}

static void all_lines_that_are_wrong_are_told(void **state)
{
    (void)state;
    struct read r;
    assert_false(reads(&r, "pass x y\npass\nallow\nblock port 0 port 0"));
    assert_int_equal(r.wrong, 3);
    assert_true(r.told[0][0] == '1' && r.told[1][0] == '3' && r.told[2][0] == '4');
    rules_file_free(&r.file);
}

static void limits_are_told(void **state)
{
    (void)state;
    struct read r;
    static char text[RULES_FILE_BYTES_MAX + 2];
    for (int i = 0; i < RULES_FILE_RULES_MAX + 1; i++) {
        strcat(text, "pass\n");
    }
    assert_false(reads(&r, text));
    assert_non_null(strstr(r.told[0], "257:1: there are more than 256 rules"));
    text[5 * RULES_FILE_RULES_MAX] = 0;
    assert_true(reads(&r, text) && r.file.count == RULES_FILE_RULES_MAX);
    rules_file_free(&r.file);
    strcpy(text, "pass port 1");
    for (int i = 0; i < RULES_FILE_RULES_MAX; i++) {
        strcat(text, ",2");
    }
    assert_false(reads(&r, text));
    assert_non_null(strstr(r.told[0], "more than 256"));
    memset(text, ' ', sizeof text - 1);
    assert_false(reads(&r, text));
    assert_non_null(strstr(r.told[0], "larger than 1 MiB"));
    strcpy(text, "pass program ");
    memset(text + 13, 'a', 513);
    text[13 + 513] = 0;
    assert_false(reads(&r, text));
    assert_non_null(strstr(r.told[0], "longer than 512 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_is_one_rule_and_the_rest_is_ignored),
        cmocka_unit_test(places_and_ports_are_lists_and_each_pair_is_a_rule),
        cmocka_unit_test(a_route_has_ways_in_order_and_up_to_two_hops),
        cmocka_unit_test(each_mistake_is_told_with_its_place),
        cmocka_unit_test(all_lines_that_are_wrong_are_told),
        cmocka_unit_test(limits_are_told),
    };
    return cmocka_run_group_tests_name("rules file", tests, NULL, NULL);
}
