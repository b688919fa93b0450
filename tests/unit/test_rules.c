/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Include and exclude rules by themselves (I4): patterns, order, limits. */
#include "packets.h"

#include "engine/rules.h"

#include <stdio.h>
#include <time.h>

static struct rules *rules;

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
    assert_true(rules_add(r, true, pattern, 0));
    bool included = rules_apply(r, false, 1234, path, "");
    rules_free(r);
    r = rules_new(); /* and an excluding rule matches the very same */
    assert_true(rules_add(r, false, pattern, 0));
    assert_int_equal(rules_apply(r, true, 1234, path, ""), !included);
    rules_free(r);
    return included;
}

static void without_rules_the_tree_decides(void **state)
{
    (void)state;
    assert_true(rules_apply(rules, true, 1, "C:\\a.exe", ""));
    assert_false(rules_apply(rules, false, 1, "C:\\a.exe", ""));
    assert_false(rules_want_path(rules));
}

static void a_process_that_no_rule_matches_stays_what_the_tree_says(void **state)
{
    (void)state;
    assert_true(rules_add(rules, true, "b.exe", 0));
    assert_true(rules_add(rules, false, "c.exe", 0));
    assert_true(rules_add(rules, true, NULL, 99));
    for (int in_tree = 0; in_tree < 2; in_tree++) {
        assert_int_equal(rules_apply(rules, in_tree, 1, "C:\\a.exe", ""), in_tree);
    }
}

static void the_last_rule_that_matches_wins(void **state)
{
    (void)state;
    assert_true(rules_add(rules, false, "*", 0));
    assert_true(rules_add(rules, true, "C:\\app\\*", 0));
    assert_true(rules_add(rules, false, "helper*.exe", 0));
    assert_true(rules_add(rules, true, NULL, 77));
    assert_false(rules_apply(rules, true, 1, "C:\\other\\x.exe", ""));
    assert_true(rules_apply(rules, false, 1, "C:\\app\\x.exe", ""));
    assert_false(rules_apply(rules, true, 1, "C:\\app\\helper2.exe", ""));
    assert_true(rules_apply(rules, false, 77, "C:\\app\\helper2.exe", ""));
    assert_true(rules_add(rules, false, "*", 0));
    assert_false(rules_apply(rules, true, 77, "C:\\app\\helper2.exe", ""));
}

static void a_rule_by_pid_matches_that_pid_whatever_its_path(void **state)
{
    (void)state;
    assert_true(rules_add(rules, true, NULL, 77));
    assert_false(rules_want_path(rules)); /* finding a path costs something */
    assert_true(rules_apply(rules, false, 77, "", ""));
    assert_true(rules_apply(rules, false, 77, "C:\\77.exe", ""));
    assert_false(rules_apply(rules, false, 78, "77", ""));
    assert_true(rules_add(rules, true, "77", 0));
    assert_true(rules_want_path(rules));
    assert_true(rules_apply(rules, false, 78, "C:\\77", "")); /* a pattern of digits is a name */
    assert_false(rules_apply(rules, false, 78, "C:\\78", ""));
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
    char pattern[RULE_PATTERN_MAX + 1], name[1024];
    for (int i = 0; i < RULE_PATTERN_MAX - 1; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
    }
    strcpy(pattern + RULE_PATTERN_MAX - 1, "b");
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
    assert_true(rules_add(rules, true, pattern, 0));
    memset(pattern, 'x', sizeof pattern - 1);
    assert_true(rules_apply(rules, false, 1, "a.exe", ""));
}

static void limits_are_kept_and_what_is_beyond_them_changes_nothing(void **state)
{
    (void)state;
    char pattern[RULE_PATTERN_MAX + 2];
    memset(pattern, 'a', sizeof pattern);
    pattern[RULE_PATTERN_MAX + 1] = 0;
    assert_false(rules_add(rules, true, pattern, 0));
    assert_false(rules_add(rules, true, "", 0));
    assert_false(rules_want_path(rules));
    pattern[RULE_PATTERN_MAX] = 0;
    assert_true(rules_add(rules, true, pattern, 0));
    assert_true(rules_apply(rules, false, 1, pattern, ""));
    for (uint32_t i = 1; i < RULES_MAX; i++) {
        assert_true(rules_add(rules, true, NULL, i));
    }
    assert_false(rules_add(rules, false, NULL, 1));
    assert_false(rules_add(rules, false, "*", 0));
    assert_true(rules_apply(rules, false, 1, "C:\\x.exe", ""));
    assert_true(rules_apply(rules, false, RULES_MAX - 1, "", ""));
}

static void freeing_nothing_is_allowed(void **state)
{
    (void)state;
    rules_free(NULL);
}

static void a_rule_is_narrowed_to_listeners(void **state)
{
    (void)state;
    assert_true(rules_add(rules, false, NULL, 0));
    assert_false(rules_narrow(rules, ""));
    assert_true(rules_narrow(rules, "guard.exe")); /* of any process */
    assert_true(rules_add(rules, true, "curl.exe", 0) && rules_narrow(rules, "C:\\b\\*"));
    assert_true(rules_want_path(rules) && rules_want_listener(rules));
    assert_true(rules_know_listener(rules, "C:\\a\\GUARD.exe") && rules_know_listener(rules, "c:/b/x"));
    assert_false(rules_know_listener(rules, "C:\\a\\x") || rules_know_listener(rules, ""));
    assert_true(rules_apply(rules, true, 1, "C:\\x.exe", ""));
    assert_true(rules_apply(rules, true, 1, "C:\\x.exe", "C:\\a\\x"));
    assert_false(rules_apply(rules, true, 1, "C:\\x.exe", "C:\\a\\guard.exe"));
    assert_false(rules_apply(rules, true, 1, "C:\\x.exe", "C:\\b\\guard.exe"));
    assert_true(rules_apply(rules, false, 1, "C:\\curl.exe", "C:\\b\\guard.exe"));
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
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
