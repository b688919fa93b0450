/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rule_calls.c
 * The calls about rules, as calls.c makes the others, and built as that: it is C11 and C++17 at once.
 */
#include "check.h"
#include "layout.h"

#include <stdio.h>
#include <string.h>

static redirector_rule a_rule(void)
{
    redirector_rule rule;
    memset(&rule, 0, sizeof rule);
    rule.size = sizeof rule;
    return rule;
}

/* An outgoing TCP connection of a process of the tree to 192.0.2.7:443. */
static redirector_rule_case a_case(void)
{
    redirector_rule_case c;
    memset(&c, 0, sizeof c);
    c.size = sizeof c;
    c.in_tree = 1;
    c.pid = 8;
    c.protocol = REDIRECTOR_TCP;
    c.direction = REDIRECTOR_OUTGOING;
    c.address.family = 4;
    c.address.port = 443;
    c.address.bytes[0] = 192;
    c.address.bytes[2] = 2;
    c.address.bytes[3] = 7;
    c.program = "C:\\tools\\a.exe";
    return c;
}

static redirector_error last;

static uint32_t test(const redirector_rule *rules, uint32_t count, const redirector_rule_case *c,
                     redirector_rule_verdict *verdict)
{
    memset(&last, 0x5A, sizeof last);
    last.size = sizeof last;
    memset(verdict, 0x5A, sizeof *verdict);
    verdict->size = sizeof *verdict;
    return redirector_test_rules(rules, count, c, verdict, &last);
}

static void check_verdicts(void)
{
    redirector_rule rules[3] = {a_rule(), a_rule(), a_rule()};
    redirector_rule_case c = a_case();
    redirector_rule_verdict v;
    check(test(NULL, 0, &c, &v) == REDIRECTOR_OK && v.action == REDIRECTOR_RULE_REDIRECT &&
              v.rule == REDIRECTOR_NO_RULE && last.code == REDIRECTOR_OK,
          "without rules the tree decides");
    c.in_tree = 0;
    check(test(NULL, 0, &c, &v) == REDIRECTOR_OK && v.action == REDIRECTOR_RULE_PASS, "and others pass");
    c = a_case();
    rules[0].action = REDIRECTOR_RULE_BLOCK;
    rules[0].family = 4;
    rules[0].prefix_length = 24;
    memcpy(rules[0].network, c.address.bytes, 4);
    rules[0].upstream = 3;
    rules[1].host = "*.example.org";
    rules[2].action = REDIRECTOR_RULE_REDIRECT;
    rules[2].listener = "guard.exe";
    rules[2].upstream = 7;
    check(test(rules, 3, &c, &v) == REDIRECTOR_OK && v.action == REDIRECTOR_RULE_BLOCK && v.rule == 0 &&
              v.upstream == 3,
          "by its network");
    c.host = "www.example.org";
    check(test(rules, 3, &c, &v) == REDIRECTOR_OK && v.action == REDIRECTOR_RULE_PASS && v.rule == 1, "by its name");
    c.listener = "C:\\guard.exe";
    check(test(rules, 3, &c, &v) == REDIRECTOR_OK && v.rule == 2 && v.upstream == 7, "by its listener");
    c.direction = REDIRECTOR_INCOMING;
    c.protocol = REDIRECTOR_UDP;
    c.listener = c.host = c.program = NULL;
    check(test(rules, 3, &c, &v) == REDIRECTOR_OK && v.rule == 0, "an incoming one, by its peer");
    check(redirector_test_rules(rules, 3, &c, &v, NULL) == REDIRECTOR_OK, "without a place for an error");
}

static int refused(const redirector_rule *rules, uint32_t count, const char *says)
{
    redirector_rule_case c = a_case();
    redirector_rule_verdict v, untouched;
    memset(&untouched, 0x5A, sizeof untouched);
    untouched.size = sizeof untouched;
    uint32_t status = test(rules, count, &c, &v);
    if (status != REDIRECTOR_INVALID_ARGUMENT || last.code != status || !strstr(last.text, says) ||
        memcmp(&v, &untouched, sizeof v) != 0) {
        printf("     %s: %s\n", says, last.text);
        return 0;
    }
    return 1;
}

static char too_long[514];

static int refused_as(size_t field, uint32_t value, const char *says)
{
    redirector_rule rules[2] = {a_rule(), a_rule()};
    memcpy((char *)&rules[1] + field, &value, sizeof value);
    return refused(rules, 2, says) && strstr(last.text, "rule 1:") != NULL;
}

static void check_mistakes(void)
{
    static redirector_rule many[257];
    redirector_rule rule = a_rule();
    int good = 1;
    for (int i = 0; i < 257; i++) {
        many[i] = a_rule();
    }
    good &= refused(many, 257, "more than 256 rules") && refused(NULL, 1, "rules is NULL");
    good &= refused_as(offsetof(redirector_rule, size), 24, "its size field");
    good &= refused_as(offsetof(redirector_rule, action), 3, "its action is none");
    good &= refused_as(offsetof(redirector_rule, action), 256, "is not valid");
    good &= refused_as(offsetof(redirector_rule, direction), 3, "its direction");
    good &= refused_as(offsetof(redirector_rule, protocol), 1, "its protocol");
    good &= refused_as(offsetof(redirector_rule, family), 5, "the family");
    good &= refused_as(offsetof(redirector_rule, prefix_length), 1, "its prefix is longer");
    good &= refused_as(offsetof(redirector_rule, prefix_length), 0x100000000u - 1, "is not valid");
    good &= refused_as(offsetof(redirector_rule, first_port), 1, "runs backwards");
    good &= refused_as(offsetof(redirector_rule, last_port), 1, "begins with 0");
    good &= refused_as(offsetof(redirector_rule, last_port), 65536, "above 65535");
    rule.family = 4;
    rule.prefix_length = 33;
    good &= refused(&rule, 1, "its prefix is longer than its address");
    rule = a_rule();
    rule.pid = 8;
    rule.pattern = "a";
    good &= refused(&rule, 1, "both a pid and a pattern");
    rule = a_rule();
    rule.pattern = "";
    good &= refused(&rule, 1, "its pattern is empty");
    rule.pattern = too_long;
    good &= refused(&rule, 1, "its pattern is empty or longer");
    rule = a_rule();
    rule.listener = too_long;
    good &= refused(&rule, 1, "its listener");
    rule = a_rule();
    rule.host = "";
    good &= refused(&rule, 1, "its host");
    check(good, "each mistake in a rule has its text, and changes nothing");
    redirector_rule_case c = a_case();
    redirector_rule_verdict v;
    check(test(many, 256, &c, &v) == REDIRECTOR_OK && v.rule == 255, "256 rules");
    too_long[512] = 0;
    rule = a_rule();
    rule.pattern = rule.listener = rule.host = too_long;
    check(test(&rule, 1, &c, &v) == REDIRECTOR_OK, "patterns of 512 bytes");
    too_long[512] = 'a';
}

static int case_refused(size_t field, uint32_t value)
{
    redirector_rule_case c = a_case();
    redirector_rule_verdict v;
    memcpy((char *)&c + field, &value, sizeof value);
    return test(NULL, 0, &c, &v) == REDIRECTOR_INVALID_ARGUMENT && strstr(last.text, "the connection's") != NULL;
}

static void check_arguments(void)
{
    redirector_rule_case c = a_case();
    redirector_rule_verdict v;
    redirector_error small;
    memset(&small, 0, sizeof small);
    v.size = sizeof v;
    check(case_refused(offsetof(redirector_rule_case, size), 1) &&
              case_refused(offsetof(redirector_rule_case, in_tree), 2) &&
              case_refused(offsetof(redirector_rule_case, protocol), 0) &&
              case_refused(offsetof(redirector_rule_case, direction), 0) &&
              case_refused(offsetof(redirector_rule_case, address), 5) &&
              case_refused(offsetof(redirector_rule_case, address) + 4, 0),
          "connections that are none are refused");
    check(redirector_test_rules(NULL, 0, NULL, &v, NULL) == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_test_rules(NULL, 0, &c, NULL, NULL) == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_test_rules(NULL, 0, &c, &v, &small) == REDIRECTOR_INVALID_ARGUMENT,
          "NULL, or an error of unknown size");
    v.size = 1;
    check(redirector_test_rules(NULL, 0, &c, &v, NULL) == REDIRECTOR_INVALID_ARGUMENT, "a verdict of unknown size");
    redirector *any = (redirector *)&passed; /* anything but NULL: nothing is reached */
    char name[255];
    memset(name, 'a', sizeof name - 1);
    name[254] = 0;
    check(redirector_set_rules(NULL, NULL, 0, NULL) == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_set_rules(any, NULL, 1, NULL) == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_set_rules(any, NULL, 0, &small) == REDIRECTOR_INVALID_ARGUMENT,
          "new rules for nothing, that are not there, or without room for the error");
    check(redirector_tell_name(NULL, &c.address, "a") == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_tell_name(any, NULL, "a") == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_tell_name(any, &c.address, NULL) == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_tell_name(any, &c.address, "") == REDIRECTOR_INVALID_ARGUMENT &&
              redirector_tell_name(any, &c.address, name) == REDIRECTOR_INVALID_ARGUMENT,
          "a name of nothing, none, or one of 254 bytes");
    c.address.family = 3;
    check(redirector_tell_name(any, &c.address, "a") == REDIRECTOR_INVALID_ARGUMENT, "a name of no address");
}

/* A configuration's rules are read by the same code; whatever is right gets as far as the client that never was. */
static uint32_t start_with(const redirector_rule *rules, uint32_t count)
{
    redirector *r = NULL;
    redirector_config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.client_pid = 0x7FFFFFF0;
    config.proxy_port = 8080;
    config.log_path = "";
    config.rules = rules;
    config.rule_count = count;
    last.size = sizeof last;
    return redirector_start(&config, &r, &last);
}

static void check_start(void)
{
    redirector_rule rules[2] = {a_rule(), a_rule()};
    check(start_with(rules, 2) == REDIRECTOR_NO_SUCH_PROCESS, "rules of a configuration");
    rules[1].action = 9;
    check(start_with(rules, 2) == REDIRECTOR_INVALID_ARGUMENT && strstr(last.text, "rule 1: its action"),
          "a mistake in them is told at the start");
}

int main(void)
{
    memset(too_long, 'a', sizeof too_long - 1);
    check_verdicts();
    check_mistakes();
    check_arguments();
    check_start();
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
