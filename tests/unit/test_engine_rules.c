/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Include and exclude rules at work: on connections and on listeners, and changed while running (I4). */
#include "machine.h"

enum { SYSTEM = 4, IDLE = 0 };

static bool redirects(struct fixture *f, uint32_t pid)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(fresh_port(f));
    connects(f, pid, &t);
    enum verdict verdict = send_syn(f, &t, 100);
    assert_true(verdict == VERDICT_REWRITE || verdict == VERDICT_PASS);
    assert_true(verdict == VERDICT_PASS || maps(f, source_port(&t), &t, pid));
    return verdict == VERDICT_REWRITE;
}

/* Whether a connection from outside to a listener on this port is led. */
static bool leads(struct fixture *f, uint16_t port)
{
    struct tuple t = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", port);
    return syn_arrives(f, &t, 100) == VERDICT_REWRITE;
}

struct rule_text {
    char sign; /* + include, - exclude; 0: no more */
    const char *pattern;
    uint32_t pid;
};

static void set_rules(struct fixture *f, const struct rule_text *texts)
{
    struct rules *rules = rules_new();
    assert_non_null(rules);
    for (; texts->sign; texts++) {
        const struct rule rule = {
            .action = texts->sign == '+' ? RULE_REDIRECT : RULE_PASS, .program = texts->pattern, .pid = texts->pid};
        assert_null(rules_add(rules, &rule));
    }
    engine_set_rules(f->world.engine, rules);
}

#define RULES(f, ...) set_rules(f, (const struct rule_text[]){__VA_ARGS__, {0, NULL, 0}})

static struct fixture *with_paths(void **state)
{
    struct fixture *f = *state;
    has_path(f, ROOT, "C:\\App\\app.exe");
    has_path(f, CHILD, "C:\\App\\bin\\Worker.exe");
    has_path(f, STRANGER, "D:\\tools\\curl.exe");
    has_path(f, AGENT, "C:\\Agent\\agent.exe");
    return f;
}

static void i4_by_pid(void **state)
{
    struct fixture *f = *state;
    f->world.engine->host.process_path = NULL; /* nobody needs to ask for a path */
    RULES(f, {'+', NULL, STRANGER}, {'-', NULL, CHILD});
    assert_true(redirects(f, ROOT));
    assert_false(redirects(f, CHILD));
    assert_true(redirects(f, STRANGER));
}

static void i4_by_name(void **state)
{
    struct fixture *f = with_paths(state);
    RULES(f, {'+', "CURL.exe", 0}, {'-', "work*.exe", 0}, {'-', "App", 0});
    assert_true(redirects(f, ROOT));
    assert_false(redirects(f, CHILD));
    assert_true(redirects(f, STRANGER));
}

static void i4_by_path(void **state)
{
    struct fixture *f = with_paths(state);
    RULES(f, {'-', "c:/app/bin/*", 0}, {'+', "d:\\*\\curl.exe", 0});
    assert_true(redirects(f, ROOT));
    assert_false(redirects(f, CHILD));
    assert_true(redirects(f, STRANGER));
}

static void i4_the_last_match_wins(void **state)
{
    struct fixture *f = with_paths(state);
    RULES(f, {'-', "*", 0}, {'+', "*.exe", 0}, {'-', NULL, STRANGER}, {'+', "C:\\App\\bin\\*", 0}, {'-', "app.exe", 0});
    assert_false(redirects(f, ROOT));
    assert_true(redirects(f, CHILD));
    assert_false(redirects(f, STRANGER));
}

static void i4_a_process_without_a_known_path_is_what_the_tree_says(void **state)
{
    struct fixture *f = *state;
    RULES(f, {'-', "*", 0}, {'+', "C:\\*", 0});
    assert_true(redirects(f, ROOT));
    assert_false(redirects(f, STRANGER));
}

/* An excluded process is still a member: its children are the tree's. */
static void i4_i1_the_children_of_an_excluded_process_are_redirected(void **state)
{
    struct fixture *f = with_paths(state);
    process_starts(f, 1008, 400, CHILD, 300);
    RULES(f, {'-', NULL, CHILD});
    assert_false(redirects(f, CHILD));
    assert_true(redirects(f, 1008));
}

static void i4_held_syns_follow_the_rules_too(void **state)
{
    struct fixture *f = with_paths(state);
    struct tuple a = tuple4(), b = tuple6();
    RULES(f, {'+', "curl.exe", 0}, {'-', "app.exe", 0});
    assert_int_equal(send_syn(f, &a, 100), VERDICT_HOLD);
    connects_late(f, STRANGER, &a);
    assert_false(injected_is(f, 0, syn_of(&a, 100)));
    assert_true(maps(f, 50000, &a, STRANGER));
    f->world.owner = ROOT; /* by the TCP table */
    assert_int_equal(send_syn(f, &b, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_is(f, 1, syn_of(&b, 100)));
}

static void i4_a_change_applies_to_new_connections_only(void **state)
{
    struct fixture *f = with_paths(state);
    struct tuple open = tuple4(), passing = tuple6(), steered = established(f, &open), reply = tuple_reversed(&steered);
    connects(f, STRANGER, &passing);
    assert_int_equal(send_syn(f, &passing, 100), VERDICT_PASS);

    RULES(f, {'-', "*", 0}, {'+', "curl.exe", 0});
    assert_int_equal(send_segment(f, data_of(&open, 101, 501, 10)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, data_of(&reply, 501, 111, 10)), VERDICT_REWRITE);
    assert_true(maps(f, 50000, &open, ROOT));
    assert_int_equal(send_syn(f, &passing, 100), VERDICT_PASS); /* its handshake is under way */
    assert_int_equal(send_segment(f, ack_of(&passing, 101, 501)), VERDICT_PASS);
    assert_false(redirects(f, ROOT));
    assert_true(redirects(f, STRANGER));

    RULES(f, {'-', NULL, CHILD});
    assert_true(redirects(f, ROOT));
    assert_false(redirects(f, CHILD));
    assert_false(redirects(f, STRANGER));

    engine_set_rules(f->world.engine, NULL);
    assert_true(redirects(f, ROOT));
    assert_true(redirects(f, CHILD));
    assert_false(redirects(f, STRANGER));
    assert_int_equal(send_segment(f, data_of(&open, 111, 511, 10)), VERDICT_REWRITE);
}

static void i4_n1_listeners_follow_the_rules_from_the_start_and_when_they_change(void **state)
{
    struct fixture *f = with_paths(state);
    opens(f, ROOT, "0.0.0.0", 80);
    opens(f, STRANGER, "0.0.0.0", 81);
    RULES(f, {'-', "app.exe", 0}, {'+', "curl.exe", 0});
    opens(f, CHILD, "0.0.0.0", 82);
    opens(f, STRANGER, "0.0.0.0", 83);
    opens(f, ROOT, "0.0.0.0", 84);
    for (int i = 0; i < 2; i++) {
        assert_false(leads(f, 80));
        assert_true(leads(f, 81));
        assert_true(leads(f, 82));
        assert_true(leads(f, 83));
        assert_false(leads(f, 84));
        world_scan_listeners(&f->world); /* a look changes nothing of it */
    }
    engine_set_rules(f->world.engine, NULL);
    assert_true(leads(f, 80));
    assert_false(leads(f, 81));
    assert_true(leads(f, 82));
    assert_false(leads(f, 83));
    assert_true(leads(f, 84));
}

static void i4_n1_connections_to_a_port_that_is_excluded_now_live_on(void **state)
{
    struct fixture *f = with_paths(state);
    struct tuple t = tuple_of("203.0.113.9", 50000, "10.0.0.1", 80), back = tuple_reversed(&t);
    opens(f, ROOT, "0.0.0.0", 80);
    struct tuple seen = taken_in(f, &t, 100), reply = tuple_reversed(&seen);
    RULES(f, {'-', "*", 0});
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
    assert_int_equal(arrives(f, syn_of(&t, 100)), VERDICT_REWRITE); /* the same SYN is the same connection */
    assert_int_equal(arrives(f, ack_of(&t, 101, 501)), VERDICT_REWRITE);
    assert_tuple(&f->last, &seen);
    assert_false(leads(f, 80));
}

/* The other way round: its SYN has passed, so the rest of it passes. */
static void i4_n1_connections_to_a_port_that_is_included_now_stay_with_the_program(void **state)
{
    struct fixture *f = with_paths(state);
    struct tuple t = tuple_of("203.0.113.9", 50000, "10.0.0.1", 80), back = tuple_reversed(&t);
    opens(f, STRANGER, "0.0.0.0", 80);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS);
    RULES(f, {'+', "curl.exe", 0});
    assert_int_equal(send_segment(f, syn_ack_of(&back, 900, 101)), VERDICT_PASS);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS); /* the answer was lost on its way */
    assert_int_equal(arrives(f, ack_of(&t, 101, 901)), VERDICT_PASS);
    assert_true(leads(f, 80));
}

static void i4_i3_nobody_can_include_pid_0_or_4_or_the_agent(void **state)
{
    struct fixture *f = with_paths(state);
    process_starts(f, SYSTEM, 1, 0, 0);
    has_path(f, SYSTEM, "C:\\Windows\\System32\\ntoskrnl.exe");
    engine_process(f->world.engine, (struct process_id){SYSTEM, 1});
    opens(f, SYSTEM, "0.0.0.0", 80);
    opens(f, AGENT, "0.0.0.0", 81);
    opens(f, IDLE, "0.0.0.0", 82);
    for (int i = 0; i < 2; i++) {
        assert_false(redirects(f, IDLE));
        assert_false(redirects(f, SYSTEM));
        assert_false(redirects(f, AGENT));
        assert_false(leads(f, 80));
        assert_false(leads(f, 81));
        assert_false(leads(f, 82));
        RULES(f, {'+', "*", 0}, {'+', "*\\*", 0}, {'+', NULL, IDLE}, {'+', NULL, SYSTEM}, {'+', NULL, AGENT});
    }
    assert_true(redirects(f, STRANGER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(i4_by_pid),
        WITH_MACHINE(i4_by_name),
        WITH_MACHINE(i4_by_path),
        WITH_MACHINE(i4_the_last_match_wins),
        WITH_MACHINE(i4_a_process_without_a_known_path_is_what_the_tree_says),
        WITH_MACHINE(i4_i1_the_children_of_an_excluded_process_are_redirected),
        WITH_MACHINE(i4_held_syns_follow_the_rules_too),
        WITH_MACHINE(i4_a_change_applies_to_new_connections_only),
        WITH_MACHINE(i4_n1_listeners_follow_the_rules_from_the_start_and_when_they_change),
        WITH_MACHINE(i4_n1_connections_to_a_port_that_is_excluded_now_live_on),
        WITH_MACHINE(i4_n1_connections_to_a_port_that_is_included_now_stay_with_the_program),
        WITH_MACHINE(i4_i3_nobody_can_include_pid_0_or_4_or_the_agent),
    };
    return cmocka_run_group_tests_name("engine: rules", tests, NULL, NULL);
}
