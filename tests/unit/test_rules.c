/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Include and exclude rules by themselves (I4): patterns, order, limits. */
#include "packets.h"

#include "engine/pattern.h"
#include "engine/rules.h"
#include "reference_rules.h"

#include <stdio.h>
#include <time.h>

static struct rules *rules;

/* pattern NULL: by pid */
static bool add(struct rules *r, bool include, const char *pattern, uint32_t pid)
{
    struct rule rule = {.action = include ? RULE_REDIRECT : RULE_PASS, .program = pattern, .pid = pid};
    return !rules_add(r, &rule);
}

static bool add_for_listener(bool include, const char *pattern, const char *listener)
{
    struct rule rule = {.action = include ? RULE_REDIRECT : RULE_PASS, .program = pattern, .listener = listener};
    return !rules_add(rules, &rule);
}

static bool redirects(struct rules *r, bool in_tree, uint32_t pid, const char *path, const char *listener)
{
    struct rule_case c = {.in_tree = in_tree,
                          .pid = pid,
                          .path = path,
                          .listener = listener,
                          .host = "",
                          .protocol = PROTOCOL_TCP,
                          .direction = RULE_OUTGOING,
                          .family = FAMILY_IP4,
                          .port = 1};
    return rules_judge(r, &c).action == RULE_REDIRECT;
}

static int set_up(void **state)
{
    (void)state;
    rules = rules_new();
    return rules ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    rules_free(rules);
    return 0;
}

/* Whether the pattern, and it alone, includes a process with this path. */
static bool matches(const char *pattern, const char *path)
{
    struct rules *r = rules_new();
    assert_non_null(r);
    assert_true(add(r, true, pattern, 0));
    bool included = redirects(r, false, 1234, path, "");
    rules_free(r);
    r = rules_new(); /* and an excluding rule matches the very same */
    assert_true(add(r, false, pattern, 0));
    assert_int_equal(redirects(r, true, 1234, path, ""), !included);
    rules_free(r);
    return included;
}

static void without_rules_the_tree_decides(void **state)
{
    (void)state;
    assert_true(redirects(rules, true, 1, "C:\\a.exe", ""));
    assert_false(redirects(rules, false, 1, "C:\\a.exe", ""));
    assert_false(rules_want_path(rules));
}

static void a_process_that_no_rule_matches_stays_what_the_tree_says(void **state)
{
    (void)state;
    assert_true(add(rules, true, "b.exe", 0));
    assert_true(add(rules, false, "c.exe", 0));
    assert_true(add(rules, true, NULL, 99));
    for (int in_tree = 0; in_tree < 2; in_tree++) {
        assert_int_equal(redirects(rules, in_tree, 1, "C:\\a.exe", ""), in_tree);
    }
}

static void the_last_rule_that_matches_wins(void **state)
{
    (void)state;
    assert_true(add(rules, false, "*", 0));
    assert_true(add(rules, true, "C:\\app\\*", 0));
    assert_true(add(rules, false, "helper*.exe", 0));
    assert_true(add(rules, true, NULL, 77));
    assert_false(redirects(rules, true, 1, "C:\\other\\x.exe", ""));
    assert_true(redirects(rules, false, 1, "C:\\app\\x.exe", ""));
    assert_false(redirects(rules, true, 1, "C:\\app\\helper2.exe", ""));
    assert_true(redirects(rules, false, 77, "C:\\app\\helper2.exe", ""));
    assert_true(add(rules, false, "*", 0));
    assert_false(redirects(rules, true, 77, "C:\\app\\helper2.exe", ""));
}

static void a_rule_by_pid_matches_that_pid_whatever_its_path(void **state)
{
    (void)state;
    assert_true(add(rules, true, NULL, 77));
    assert_false(rules_want_path(rules)); /* finding a path costs something */
    assert_true(redirects(rules, false, 77, "", ""));
    assert_true(redirects(rules, false, 77, "C:\\77.exe", ""));
    assert_false(redirects(rules, false, 78, "77", ""));
    assert_true(add(rules, true, "77", 0));
    assert_true(rules_want_path(rules));
    assert_true(redirects(rules, false, 78, "C:\\77", "")); /* a pattern of digits is a name */
    assert_false(redirects(rules, false, 78, "C:\\78", ""));
}

static void a_pattern_without_a_slash_is_for_the_file_name_and_one_with_it_for_the_whole_path(void **state)
{
    (void)state;
    assert_true(matches("curl.exe", "C:\\Tools\\curl.exe"));
    assert_true(matches("curl.exe", "C:/Tools/curl.exe"));
    assert_true(matches("curl.exe", "curl.exe"));
    assert_false(matches("curl.exe", "C:\\curl.exe\\other.exe"));
    assert_false(matches("curl", "C:\\Tools\\curl.exe")); /* all of the name */
    assert_false(matches("Tools*", "C:\\Tools\\curl.exe"));
    assert_false(matches("C:*", "C:\\Tools\\curl.exe"));
    assert_true(matches("C:\\Tools\\curl.exe", "C:\\Tools\\curl.exe"));
    assert_false(matches("\\curl.exe", "C:\\Tools\\curl.exe"));
    assert_true(matches("*\\curl.exe", "C:\\Tools\\curl.exe"));
    assert_true(matches("C:\\Tools\\*", "C:\\Tools\\deep\\down\\curl.exe")); /* `*` crosses slashes */
    assert_false(matches("C:\\Tools\\*", "C:\\Tools"));
    assert_false(matches("C:\\Tools\\*", "D:\\C:\\Tools\\x"));
    assert_true(matches("*\\Tools\\*\\curl.exe", "C:\\Tools\\deep\\curl.exe"));
    assert_false(matches("*\\Tools\\*\\curl.exe", "C:\\Tools\\curl.exe"));
}

static void letters_match_in_either_case_and_slashes_in_either_direction(void **state)
{
    (void)state;
    assert_true(matches("CURL.exe", "C:\\tools\\Curl.EXE"));
    assert_true(matches("c:/TOOLS/*.exe", "C:\\tools\\Curl.EXE"));
    assert_true(matches("c:\\tools\\*.exe", "C:/tools/Curl.EXE"));
    assert_true(matches("az@[`{.exe", "AZ@[`{.EXE"));
    assert_false(matches("@", "`")); /* 0x20 apart, and no letters */
    assert_false(matches("[", "{"));
}

static void stars_stand_for_any_characters(void **state)
{
    (void)state;
    assert_true(matches("*", "x"));
    assert_true(matches("***", "x"));
    assert_true(matches("a*", "a"));
    assert_true(matches("*a", "aaa"));
    assert_true(matches("a*b*c", "a-b-b-c-c"));
    assert_true(matches("a*ab", "aaab"));
    assert_true(matches("*abab*ab", "abaababxab"));
    assert_false(matches("a*b*c", "a-c-b"));
    assert_false(matches("*a", "ab"));
    assert_false(matches("a*a", "a"));
}

static void a_question_mark_stands_for_one_character_of_any_length(void **state)
{
    (void)state;
    assert_true(matches("?", "x"));
    assert_false(matches("?", "xy"));
    assert_false(matches("x?", "x"));
    assert_false(matches("??", "x"));
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%sb", characters[i]);
        assert_true(matches("a?b", name));
        assert_false(matches("a??b", name));
        assert_true(matches("*?b", name));
        assert_true(matches("*??b", name));
        assert_false(matches("*???b", name)); /* no character counts as two */
        assert_false(matches("*????b", name));
        assert_true(matches(name, name));
    }
    assert_true(matches("?.exe", "C:\\\xe2\x82\xac.exe"));
}

/* No text, no pattern: nothing to match. */
static void an_unknown_path_matches_no_pattern(void **state)
{
    (void)state;
    assert_false(matches("*", ""));
    assert_false(matches("*\\*", ""));
}

/* Names that no system would give, but a file can have; every one is read within its bounds (sanitizers look). */
static void hostile_names_and_patterns_are_read_within_their_bounds(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xc3",
        "\xf0\x9f",
        "\x80\x80\x80",
        "a\xff\xfe",
        "\\",
        "/",
        "\\\\",
        "C:\\",
        "C:\\dir\\",
        "*",
        "?",
        "[a-z]",
        "a\\*",
        "??",
        "%s%n%x",
        "\x01\x02",
        "\xc3\xa9\xa9\xa9",
        "..\\..\\x.exe",
        " ",
        "*\xc3",
        "?\xc3",
    };
    enum { TEXTS = sizeof texts / sizeof *texts };
    for (int p = 0; p < TEXTS; p++) {
        for (int t = 0; t < TEXTS; t++) {
            char *pattern = strdup(texts[p]), *text = strdup(texts[t]); /* each ends where its memory ends */
            matches(pattern, text);
            free(pattern);
            free(text);
        }
    }
    assert_false(matches("a*", "C:\\dir\\")); /* a folder's file name is empty */
    assert_true(matches("[a-z]", "[a-z]"));   /* no classes */
    assert_false(matches("[a-z]", "b"));
}

/* A pattern that is all stars against a name that almost matches: no more than length times length. */
static void a_hostile_name_does_not_take_for_ever(void **state)
{
    (void)state;
    char pattern[PATTERN_MAX + 1], name[1024];
    for (int i = 0; i < PATTERN_MAX - 1; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
    }
    strcpy(pattern + PATTERN_MAX - 1, "b");
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    clock_t begin = clock();
    for (int i = 0; i < 10; i++) {
        assert_false(matches(pattern, name));
    }
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC); /* exponential would be the age of the universe */
}

static void the_pattern_is_copied(void **state)
{
    (void)state;
    char pattern[] = "a.exe";
    assert_true(add(rules, true, pattern, 0));
    memset(pattern, 'x', sizeof pattern - 1);
    assert_true(redirects(rules, false, 1, "a.exe", ""));
}

static void limits_are_kept_and_what_is_beyond_them_changes_nothing(void **state)
{
    (void)state;
    char pattern[PATTERN_MAX + 2];
    memset(pattern, 'a', sizeof pattern);
    pattern[PATTERN_MAX + 1] = 0;
    assert_false(add(rules, true, pattern, 0));
    assert_false(add(rules, true, "", 0));
    assert_false(rules_want_path(rules));
    pattern[PATTERN_MAX] = 0;
    assert_true(add(rules, true, pattern, 0));
    assert_true(redirects(rules, false, 1, pattern, ""));
    for (uint32_t i = 1; i < RULES_MAX; i++) {
        assert_true(add(rules, true, NULL, i));
    }
    assert_false(add(rules, false, NULL, 1));
    assert_false(add(rules, false, "*", 0));
    assert_true(redirects(rules, false, 1, "C:\\x.exe", ""));
    assert_true(redirects(rules, false, RULES_MAX - 1, "", ""));
}

static void freeing_nothing_is_allowed(void **state)
{
    (void)state;
    rules_free(NULL);
}

static void a_rule_is_narrowed_to_listeners(void **state)
{
    (void)state;
    assert_false(add_for_listener(false, NULL, ""));
    assert_true(add_for_listener(false, NULL, "guard.exe")); /* of any process */
    assert_true(add_for_listener(true, "curl.exe", "C:\\b\\*"));
    assert_true(rules_want_path(rules) && rules_want_listener(rules));
    assert_true(rules_know_listener(rules, "C:\\a\\GUARD.exe") && rules_know_listener(rules, "c:/b/x"));
    assert_false(rules_know_listener(rules, "C:\\a\\x") || rules_know_listener(rules, ""));
    assert_true(redirects(rules, true, 1, "C:\\x.exe", ""));
    assert_true(redirects(rules, true, 1, "C:\\x.exe", "C:\\a\\x"));
    assert_false(redirects(rules, true, 1, "C:\\x.exe", "C:\\a\\guard.exe"));
    assert_false(redirects(rules, true, 1, "C:\\x.exe", "C:\\b\\guard.exe"));
    assert_true(redirects(rules, false, 1, "C:\\curl.exe", "C:\\b\\guard.exe"));
}

static ip_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return ip_addr_from_ip4((const uint8_t[4]){a, b, c, d});
}

/* TCP of the tree to 10.1.2.3:443, "" unless said otherwise. */
static struct rule_case a_case(void)
{
    return (struct rule_case){.in_tree = true,
                              .pid = 7,
                              .path = "C:\\app.exe",
                              .listener = "",
                              .host = "",
                              .protocol = PROTOCOL_TCP,
                              .direction = RULE_OUTGOING,
                              .family = FAMILY_IP4,
                              .address = ip4(10, 1, 2, 3),
                              .port = 443};
}

static enum rule_action judged(const struct rule_case *c)
{
    return rules_judge(rules, c).action;
}

/* R1 */
static void a_rule_names_where_by_protocol_direction_network_and_ports(void **state)
{
    (void)state;
    const struct rule rule = {.action = RULE_BLOCK,
                              .protocol = PROTOCOL_TCP,
                              .direction = RULE_OUTGOING,
                              .family = FAMILY_IP4,
                              .network = ip4(10, 1, 255, 255),
                              .prefix_length = 16,
                              .first_port = 400,
                              .last_port = 443,
                              .upstream = 5};
    assert_null(rules_add(rules, &rule));
    assert_true(rules_want_place(rules));
    struct rule_case c = a_case();
    struct rule_verdict v = rules_judge(rules, &c);
    assert_true(v.action == RULE_BLOCK && v.rule == 0 && v.upstream == 5);
    c.port = 399;
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c.port = 400;
    assert_int_equal(judged(&c), RULE_BLOCK);
    c.port = 444;
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.protocol = PROTOCOL_UDP;
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.direction = RULE_INCOMING;
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.address = ip4(10, 2, 2, 3);
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.family = FAMILY_IP6; /* the same bytes, in an IPv6 packet */
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.family = FAMILY_NONE; /* only who is asked about */
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c = a_case();
    c.in_tree = false; /* it names no process: those of the tree are meant */
    assert_int_equal(judged(&c), RULE_PASS);
}

static void prefixes_have_any_length(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= 128; length++) {
        struct rules *r = rules_new();
        struct rule rule = {.action = RULE_PASS, .family = FAMILY_IP6, .prefix_length = (uint8_t)length};
        memset(rule.network.bytes, 0xa5, 16);
        assert_null(rules_add(r, &rule));
        struct rule_case c = a_case();
        c.family = FAMILY_IP6;
        c.address = rule.network;
        assert_int_equal(rules_judge(r, &c).action, RULE_PASS);
        for (uint32_t bit = 0; bit < 128; bit++) {
            c.address = rule.network;
            c.address.bytes[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
            assert_int_equal(rules_judge(r, &c).action, bit < length ? RULE_REDIRECT : RULE_PASS);
        }
        rules_free(r);
    }
}

static void host_names_count_only_where_they_are_known(void **state)
{
    (void)state;
    assert_null(rules_add(rules, &(struct rule){.action = RULE_PASS, .host = "*.Example.org"}));
    assert_true(rules_want_host(rules) && !rules_want_path(rules));
    struct rule_case c = a_case();
    assert_int_equal(judged(&c), RULE_REDIRECT);
    c.host = "www.example.ORG";
    assert_int_equal(judged(&c), RULE_PASS);
    c.host = "example.org";
    assert_int_equal(judged(&c), RULE_REDIRECT);
}

static void rules_without_a_process_mean_those_that_rules_before_them_have_left_in_scope(void **state)
{
    (void)state;
    struct rule_case c = a_case();
    c.in_tree = false;
    c.path = "C:\\other.exe";
    assert_null(rules_add(rules, &(struct rule){.action = RULE_BLOCK, .first_port = 443, .last_port = 443}));
    assert_int_equal(judged(&c), RULE_PASS);
    assert_true(add(rules, true, "other.exe", 0));
    assert_int_equal(judged(&c), RULE_REDIRECT); /* it came later than the rule about ports */
    assert_null(rules_add(rules, &(struct rule){.action = RULE_BLOCK, .first_port = 443, .last_port = 443}));
    assert_int_equal(judged(&c), RULE_BLOCK);
    assert_true(add(rules, false, NULL, 7));
    assert_null(rules_add(rules, &(struct rule){.action = RULE_BLOCK}));
    assert_int_equal(judged(&c), RULE_PASS);
    c.pid = 8;
    assert_int_equal(judged(&c), RULE_BLOCK);
    c.path = "C:\\third.exe";
    assert_int_equal(judged(&c), RULE_PASS);
    c.in_tree = true;
    assert_int_equal(judged(&c), RULE_BLOCK);
}

static void what_is_wrong_with_a_rule_is_said_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        struct rule rule;
        const char *says;
    } wrong[] = {
        {{.action = 3}, "action"},
        {{.direction = 3}, "direction"},
        {{.protocol = 1}, "protocol"},
        {{.family = 5}, "family"},
        {{.family = FAMILY_IP4, .prefix_length = 33}, "prefix"},
        {{.family = FAMILY_IP6, .prefix_length = 129}, "prefix"},
        {{.prefix_length = 1}, "prefix"},
        {{.first_port = 2, .last_port = 1}, "backwards"},
        {{.first_port = 2}, "backwards"},
        {{.last_port = 2}, "begins with 0"},
        {{.pid = 1, .program = "a"}, "both"},
        {{.program = ""}, "pattern"},
        {{.listener = ""}, "listener"},
        {{.host = ""}, "host"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *says = rules_add(rules, &wrong[i].rule);
        assert_non_null(says);
        assert_non_null(strstr(says, wrong[i].says));
    }
    struct rule_case c = a_case();
    assert_int_equal(rules_judge(rules, &c).rule, RULE_NONE);
    assert_false(rules_want_path(rules) || rules_want_place(rules) || rules_want_listener(rules));
}

static uint32_t pick(uint64_t *random, uint32_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % below;
}

/* Few values of each kind, so that they often meet. */
static const char *any_text(uint64_t *random, bool pattern)
{
    static const char *const texts[] = {"", "C:\\a.exe", "c:\\b\\A.exe", "b.exe", "www.example.org", "example.org"};
    static const char *const patterns[] = {NULL, NULL, "*", "a.exe", "c:\\b\\*", "?.exe", "*.example.org", "example.*"};
    return pattern ? patterns[pick(random, 8)] : texts[pick(random, 6)];
}

static struct rule any_rule(uint64_t *random)
{
    struct rule rule = {.action = pick(random, 3),
                        .direction = pick(random, 6) < 3 ? RULE_BOTH_WAYS : pick(random, 3),
                        .protocol = (const uint8_t[]){0, 0, PROTOCOL_TCP, PROTOCOL_UDP}[pick(random, 4)],
                        .program = any_text(random, true),
                        .listener = pick(random, 3) ? NULL : any_text(random, true),
                        .host = pick(random, 3) ? NULL : any_text(random, true),
                        .upstream = pick(random, 100)};
    if (!rule.program && pick(random, 3) == 0) {
        rule.pid = 1 + pick(random, 3);
    }
    if (pick(random, 2)) {
        rule.family = pick(random, 2) ? FAMILY_IP4 : FAMILY_IP6;
        rule.network = rule.family == FAMILY_IP4 ? ip4(10, 0, 0, (uint8_t)pick(random, 4))
                                                 : (ip_addr){.bytes = {0x20, 1, [15] = (uint8_t)pick(random, 4)}};
        rule.prefix_length = (uint8_t)((rule.family == FAMILY_IP4 ? 32 : 128) - pick(random, 4));
    }
    if (pick(random, 2)) {
        rule.first_port = (uint16_t)(1 + pick(random, 4));
        rule.last_port = (uint16_t)(rule.first_port + pick(random, 3));
    }
    return rule;
}

static struct rule_case any_case(uint64_t *random)
{
    struct rule_case c = {.in_tree = pick(random, 2),
                          .pid = 1 + pick(random, 4),
                          .path = any_text(random, false),
                          .listener = pick(random, 2) ? "" : any_text(random, false),
                          .host = any_text(random, false),
                          .protocol = pick(random, 2) ? PROTOCOL_TCP : PROTOCOL_UDP,
                          .direction = pick(random, 2) ? RULE_OUTGOING : RULE_INCOMING,
                          .family = (const uint32_t[]){FAMILY_NONE, FAMILY_IP4, FAMILY_IP6}[pick(random, 3)],
                          .port = (uint16_t)(1 + pick(random, 6))};
    c.address = c.family == FAMILY_IP4 ? ip4(10, 0, 0, (uint8_t)pick(random, 4))
                                       : (ip_addr){.bytes = {0x20, 1, [15] = (uint8_t)pick(random, 4)}};
    return c;
}

/* R1: what was compiled says the same as what is read rule by rule. */
static void compiled_and_interpreted_verdicts_are_equal(void **state)
{
    (void)state;
    static struct rule all[RULES_MAX];
    uint64_t random = 20261128;
    uint32_t seen[3] = {0};
    for (uint32_t round = 0; round < 300; round++) {
        struct rules *r = rules_new();
        uint32_t count = 1 + pick(&random, round % 10 ? 12 : RULES_MAX);
        for (uint32_t i = 0; i < count; i++) {
            all[i] = any_rule(&random);
            assert_null(rules_add(r, &all[i]));
        }
        for (uint32_t i = 0; i < 200; i++) {
            struct rule_case c = any_case(&random);
            struct rule_verdict is = rules_judge(r, &c), want = reference_judge(all, count, &c);
            assert_true(is.action == want.action && is.rule == want.rule && is.upstream == want.upstream);
            seen[is.action]++;
        }
        rules_free(r);
    }
    assert_true(seen[RULE_PASS] > 1000 && seen[RULE_REDIRECT] > 1000 && seen[RULE_BLOCK] > 1000);
}

int main(void)
{
#define WITH_RULES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_RULES(without_rules_the_tree_decides),
        WITH_RULES(a_process_that_no_rule_matches_stays_what_the_tree_says),
        WITH_RULES(the_last_rule_that_matches_wins),
        WITH_RULES(a_rule_by_pid_matches_that_pid_whatever_its_path),
        WITH_RULES(a_pattern_without_a_slash_is_for_the_file_name_and_one_with_it_for_the_whole_path),
        WITH_RULES(letters_match_in_either_case_and_slashes_in_either_direction),
        WITH_RULES(stars_stand_for_any_characters),
        WITH_RULES(a_question_mark_stands_for_one_character_of_any_length),
        WITH_RULES(an_unknown_path_matches_no_pattern),
        WITH_RULES(hostile_names_and_patterns_are_read_within_their_bounds),
        WITH_RULES(a_hostile_name_does_not_take_for_ever),
        WITH_RULES(the_pattern_is_copied),
        WITH_RULES(limits_are_kept_and_what_is_beyond_them_changes_nothing),
        WITH_RULES(freeing_nothing_is_allowed),
        WITH_RULES(a_rule_is_narrowed_to_listeners),
        WITH_RULES(a_rule_names_where_by_protocol_direction_network_and_ports),
        WITH_RULES(prefixes_have_any_length),
        WITH_RULES(host_names_count_only_where_they_are_known),
        WITH_RULES(rules_without_a_process_mean_those_that_rules_before_them_have_left_in_scope),
        WITH_RULES(what_is_wrong_with_a_rule_is_said_and_changes_nothing),
        WITH_RULES(compiled_and_interpreted_verdicts_are_equal),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
