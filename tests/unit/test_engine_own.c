/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A process that connects to itself (O8): an emulated socketpair() listens, connects, accepts, and compares the names of
 * both sockets. So such a connection passes, while all others within the machine are redirected as ever.
 */
#include "machine.h"

enum { SERVICE = 7000, SECOND_MS = 1000 };

static struct tuple within(struct fixture *f, const char *address)
{
    f->loopback = true;
    return tuple_of(address, fresh_port(f), address, SERVICE);
}

/* What becomes of a connection of `pid` to SERVICE at this address of the machine. */
static enum verdict connecting(struct fixture *f, uint32_t pid, const char *address)
{
    struct tuple t = within(f, address);
    connects(f, pid, &t);
    return send_syn(f, &t, 100);
}

static uint16_t redirected_to(const struct fixture *f)
{
    return be16_to_host(tuple_in(&f->last).dst_port);
}

static struct fixture *without_incoming(void **state)
{
    struct engine_config config = machine_config();
    config.incoming_port = 0;
    return machine_renew(state, &config);
}

static void o8_a_process_that_connects_to_itself_is_left_alone(void **state)
{
    static const char *const places[][2] = {
        {"127.0.0.1", "127.0.0.1"},     {"0.0.0.0", "127.0.0.1"}, {"10.0.0.1", "10.0.0.1"},
        {"0.0.0.0", "10.0.0.1"},        {"::1", "::1"},           {"::", "127.0.0.1"},
        {"2001:db8::1", "2001:db8::1"}, {"::", "2001:db8::1"},    {"127.3.2.1", "127.3.2.1"},
    };
    for (uint32_t i = 0; i < 4 * sizeof places / sizeof *places; i++) {
        const char *const *place = places[i / 4];
        struct engine_config config = machine_config();
        config.incoming_port = i & 1 ? INCOMING_PORT : 0;
        config.proxy_port = i & 2 && i & 1 ? 0 : PROXY_PORT;
        struct fixture *f = machine_renew(state, &config);
        opens(f, CHILD, place[0], SERVICE);
        assert_int_equal(connecting(f, CHILD, place[1]), VERDICT_PASS);
        struct tuple t = tuple_in(&f->last), back = tuple_reversed(&t);
        assert_int_equal(send_segment(f, syn_ack_of(&back, 500, 101)), VERDICT_PASS);
        assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_PASS);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS); /* sent again */
        assert_true(maps_nothing(f, source_port(&t)));
        assert_int_equal(COUNTER(f, flows_total), 0);
        assert_true(COUNTER(f, self_connections) >= 1);
    }
}

static void o8_with_reflection_too(void **state)
{
    struct engine_config config = machine_config();
    config.reflect = true;
    struct fixture *f = machine_renew(state, &config);
    opens(f, ROOT, "10.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "10.0.0.1"), VERDICT_PASS);
}

/* Calls between the services of a tree are what many want to see. */
static void o1_processes_of_the_tree_that_connect_to_each_other_are_redirected(void **state)
{
    struct fixture *f = without_incoming(state);
    opens(f, ROOT, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_REWRITE);
    assert_int_equal(redirected_to(f), PROXY_PORT);
    assert_int_equal(connecting(f, STRANGER, "127.0.0.1"), VERDICT_PASS);
    f = machine_renew(state, &(struct engine_config){.agent_pid = AGENT,
                                                     .incoming_port = INCOMING_PORT,
                                                     .hold_timeout_ms = HOLD_MS,
                                                     .scan_interval_ms = SCAN_MS,
                                                     .max_flows = 256});
    opens(f, ROOT, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_REWRITE);
    assert_int_equal(redirected_to(f), INCOMING_PORT);
    assert_int_equal(connecting(f, STRANGER, "127.0.0.1"), VERDICT_REWRITE);
    assert_int_equal(COUNTER(f, self_connections), 0);
}

/* It listens elsewhere, or on that port in the other family, or has closed. */
static void o1_a_port_that_is_not_its_own_does_not_count(void **state)
{
    struct fixture *f = without_incoming(state);
    opens(f, ROOT, "127.0.0.1", SERVICE + 1);
    opens(f, ROOT, "127.0.0.2", SERVICE);
    opens(f, ROOT, "::1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    opens(f, ROOT, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS);
    closes(f, ROOT, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    opens(f, STRANGER, "0.0.0.0", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
}

/* The events are late, so the SYN is held; the TCP table knows both the owner and the listener. */
static void o8_a_listener_whose_event_is_late_is_found_in_the_table(void **state)
{
    struct fixture *f = without_incoming(state);
    f->world.now += 10;
    listens_unheard(f, ROOT, "127.0.0.1", SERVICE);
    struct tuple t = within(f, "127.0.0.1");
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_is(f, 0, syn_of(&t, 100)));
    listen_event(f, ROOT, "127.0.0.1", SERVICE);
    connects_late(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void o8_a_listener_whose_event_is_lost_is_found_in_the_table(void **state)
{
    struct fixture *f = without_incoming(state);
    pass_time(f, SECOND_MS);
    listens_unheard(f, ROOT, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS);
}

/* Where nobody listens, or a fresh listener does, the table is not asked each time. */
static void o8_the_table_is_asked_once_a_second_at_most(void **state)
{
    struct fixture *f = without_incoming(state);
    uint32_t asked = f->world.listening.asked;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
        f->world.now += 100;
    }
    assert_in_range(f->world.listening.asked - asked, 4, 6);
    opens(f, ROOT, "127.0.0.1", SERVICE);
    asked = f->world.listening.asked;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS);
        f->world.now += 100;
    }
    assert_in_range(f->world.listening.asked - asked, 4, 6);
    for (int i = 0; i < 50; i++) { /* one that listens elsewhere */
        f->world.now += 100;
        assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_REWRITE);
    }
    assert_in_range(f->world.listening.asked - asked, 4, 6);
}

/* Its CLOSE was lost, and now another process of the tree gets what comes there. */
static void o1_a_listener_that_was_its_own_is_not_believed_for_ever(void **state)
{
    struct fixture *f = without_incoming(state);
    opens(f, ROOT, "127.0.0.1", SERVICE);
    closes_unheard(f, "127.0.0.1", SERVICE);
    opens(f, CHILD, "0.0.0.0", SERVICE);
    f->world.now += SECOND_MS;
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    opens(f, ROOT, "127.0.0.1", SERVICE);
    f->world.now += SECOND_MS;
    f->world.listening.fails = true; /* and if the table cannot be had, nothing is sure */
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
}

/* Two processes share a port (SO_REUSEADDR): nobody knows which of them gets the connection. */
static void o1_a_shared_listener_is_not_its_own(void **state)
{
    struct fixture *f = without_incoming(state);
    listens_unheard(f, ROOT, "127.0.0.1", SERVICE);
    listens_unheard(f, CHILD, "127.0.0.1", SERVICE);
    world_scan_listeners(&f->world);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_REWRITE);
}

static void o8_rules_that_include_a_stranger_leave_it_to_itself_too(void **state)
{
    struct fixture *f = without_incoming(state);
    struct rules *rules = rules_new();
    assert_null(rules_add(rules, &(struct rule){.action = RULE_REDIRECT, .pid = STRANGER}));
    engine_set_rules(engine_of(f), rules);
    opens(f, STRANGER, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, STRANGER, "127.0.0.1"), VERDICT_PASS);
    assert_int_equal(COUNTER(f, self_connections), 1);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
}

/* REDIRECTOR_NO_LOOPBACK: nothing within the machine, in either direction; nothing waits for its owner either. */
static void o1_loopback_as_a_whole_can_be_left_alone(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"};
    struct engine_config config = machine_config();
    config.no_loopback = true;
    struct fixture *f = machine_renew(state, &config);
    opens(f, ROOT, "0.0.0.0", SERVICE);
    opens(f, ROOT, "2001:db8::1", SERVICE);
    for (int i = 0; i < 4; i++) {
        struct tuple t = within(f, addresses[i]);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
        assert_int_equal(connecting(f, CHILD, addresses[i]), VERDICT_PASS);
        assert_int_equal(connecting(f, STRANGER, addresses[i]), VERDICT_PASS);
    }
    assert_int_equal(COUNTER(f, flows_total), 0);
    f->loopback = false;
    struct tuple out = tuple4();
    redirected(f, ROOT, &out, 100);
    assert_true(catches(f, "10.0.0.1", SERVICE, ROOT));
    assert_true(catches(f, "2001:db8::1", SERVICE, ROOT));
}

/* ---- rules about who listens at the other end (I4) */

static bool add_rule(struct rules *rules, bool include, uint32_t pid, const char *listener)
{
    const struct rule rule = {.action = include ? RULE_REDIRECT : RULE_PASS, .pid = pid, .listener = listener};
    return !rules_add(rules, &rule);
}

static struct rules *rule_to(bool include, uint32_t pid, const char *listener)
{
    struct rules *rules = rules_new();
    assert_true(add_rule(rules, include, pid, listener));
    return rules;
}

/* Products that redirect connect() to a proxy of their own: what goes there is theirs. */
static void i4_a_connection_to_a_listener_that_is_excluded_passes(void **state)
{
    struct fixture *f = without_incoming(state);
    has_path(f, STRANGER, "C:\\Guard\\guard.exe");
    opens(f, STRANGER, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    engine_set_rules(engine_of(f), rule_to(false, 0, "GUARD*.exe"));
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS);
    assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_PASS);
    struct tuple t = within(f, "127.0.0.1"); /* one that was held */
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_is(f, 0, syn_of(&t, 100)));
    assert_int_equal(connecting(f, ROOT, "127.0.0.2"), VERDICT_REWRITE); /* nobody listens */
    f->loopback = false;
    t = tuple_of("10.0.0.1", fresh_port(f), "203.0.113.9", SERVICE); /* another machine */
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    engine_set_rules(engine_of(f), rule_to(false, 0, "C:\\*\\other.exe"));
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    engine_set_rules(engine_of(f), rule_to(false, CHILD, "*\\guard.exe")); /* both must match */
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    assert_int_equal(connecting(f, CHILD, "127.0.0.1"), VERDICT_PASS);
}

/* A port that has another owner now, and nobody has said so. */
static void i4_a_listener_that_is_excluded_is_the_one_of_now(void **state)
{
    struct fixture *f = without_incoming(state);
    has_path(f, STRANGER, "C:\\Guard\\guard.exe");
    has_path(f, CHILD, "C:\\App\\server.exe");
    engine_set_rules(engine_of(f), rule_to(false, 0, "guard.exe"));
    opens(f, STRANGER, "127.0.0.1", SERVICE);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS);
    closes_unheard(f, "127.0.0.1", SERVICE);
    listens_unheard(f, CHILD, "127.0.0.1", SERVICE);
    f->world.now += 2 * SECOND_MS;
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    listens_unheard(f, STRANGER, "127.0.0.1", SERVICE); /* either may get it */
    f->world.now += 2 * SECOND_MS;
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
}

/* A rule about a listener says nothing of what others listen on; and what spares a proxy counts more (O9). */
static void i4_o9_a_listener_can_be_included_too(void **state)
{
    struct fixture *f = without_incoming(state);
    has_path(f, STRANGER, "C:\\Guard\\guard.exe");
    opens(f, STRANGER, "127.0.0.1", SERVICE);
    struct rules *rules = rule_to(true, ROOT, "guard.exe");
    assert_true(add_rule(rules, false, ROOT, NULL));
    engine_set_rules(engine_of(f), rules);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_PASS); /* the last rule decides */
    rules = rules_new();
    assert_true(add_rule(rules, false, ROOT, NULL) && add_rule(rules, true, ROOT, "guard.exe"));
    engine_set_rules(engine_of(f), rules);
    assert_int_equal(connecting(f, ROOT, "127.0.0.1"), VERDICT_REWRITE);
    struct tuple t = tuple4();
    connects(f, ROOT, &t);
    f->loopback = false;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(o8_a_process_that_connects_to_itself_is_left_alone),
        WITH_MACHINE(o8_with_reflection_too),
        WITH_MACHINE(o1_processes_of_the_tree_that_connect_to_each_other_are_redirected),
        WITH_MACHINE(o1_a_port_that_is_not_its_own_does_not_count),
        WITH_MACHINE(o8_a_listener_whose_event_is_late_is_found_in_the_table),
        WITH_MACHINE(o8_a_listener_whose_event_is_lost_is_found_in_the_table),
        WITH_MACHINE(o8_the_table_is_asked_once_a_second_at_most),
        WITH_MACHINE(o1_a_listener_that_was_its_own_is_not_believed_for_ever),
        WITH_MACHINE(o1_a_shared_listener_is_not_its_own),
        WITH_MACHINE(o8_rules_that_include_a_stranger_leave_it_to_itself_too),
        WITH_MACHINE(o1_loopback_as_a_whole_can_be_left_alone),
        WITH_MACHINE(i4_a_connection_to_a_listener_that_is_excluded_passes),
        WITH_MACHINE(i4_a_listener_that_is_excluded_is_the_one_of_now),
        WITH_MACHINE(i4_o9_a_listener_can_be_included_too),
    };
    return cmocka_run_group_tests_name("engine: connections of a process to itself", tests, NULL, NULL);
}
