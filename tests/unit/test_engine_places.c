/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rules about where a connection goes: redirected, passed, blocked (R1, R3). */
#include "machine.h"

#include <stdio.h>

enum { SOMEWHERE = 9090 };

static struct rules *rules_of(const struct rule *all, uint32_t count)
{
    struct rules *rules = rules_new();
    assert_non_null(rules);
    for (uint32_t i = 0; i < count; i++) {
        assert_null(rules_add(rules, &all[i]));
    }
    return rules;
}

#define RULES(f, ...)                                                                                                  \
    do {                                                                                                               \
        const struct rule all[] = {__VA_ARGS__};                                                                       \
        engine_set_rules(engine_of(f), rules_of(all, sizeof all / sizeof *all));                                       \
    } while (0)

static struct rule about(enum rule_action action, const char *network, uint8_t prefix, uint16_t port)
{
    struct rule rule = {.action = action, .prefix_length = prefix, .first_port = port, .last_port = port};
    if (network) {
        rule.network = address_of(network, &rule.family);
    }
    return rule;
}

static struct tuple to(struct fixture *f, const char *source, const char *address, uint16_t port)
{
    return tuple_of(source, fresh_port(f), address, port);
}

static enum verdict opens_to(struct fixture *f, uint32_t pid, const char *source, const char *address, uint16_t port)
{
    struct tuple t = to(f, source, address, port);
    connects(f, pid, &t);
    return send_syn(f, &t, 100);
}

/* The newest packet that the engine has sent is a reset that acknowledges this SYN, back to where it came from. */
static void check_refused(const struct fixture *f, const struct tuple *t, bool outbound)
{
    struct tuple back = tuple_reversed(t);
    const struct made *rst = f->injected[f->injected_count - 1];
    assert_tuple(rst, &back);
    assert_int_equal(rst->bytes[rst->tcp_offset + 13], TCP_RST | TCP_ACK);
    assert_int_equal(wire32(rst->bytes + rst->tcp_offset + 8), 101);
    assert_true(ip_checksum_right(rst) && tcp_checksum_right(rst));
    assert_int_equal(rst->meta.outbound, outbound);
}

static void r1_connections_to_some_places_pass_and_to_others_are_blocked(void **state)
{
    struct fixture *f = *state;
    RULES(f, about(RULE_PASS, "203.0.113.0", 24, 5432), about(RULE_BLOCK, "2001:db8:5::", 48, 0),
          about(RULE_BLOCK, NULL, 0, 25));
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_REWRITE);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 5432), VERDICT_PASS);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.114.9", 5432), VERDICT_REWRITE);
    assert_int_equal(opens_to(f, ROOT, "2001:db8::1", "2001:db8:6::1", 443), VERDICT_REWRITE);
    assert_int_equal(f->injected_count, 0);

    struct tuple t = to(f, "2001:db8::1", "2001:db8:5::1", 443);
    connects(f, ROOT, &t);
    for (uint32_t i = 1; i <= 3; i++) { /* Windows tries a refused SYN again */
        assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
        assert_int_equal(f->injected_count, i);
        check_refused(f, &t, false);
        assert_int_equal(COUNTER(f, connections_blocked), i);
    }
    assert_int_equal(opens_to(f, CHILD, "10.0.0.1", "203.0.113.9", 25), VERDICT_DROP);
    assert_int_equal(opens_to(f, STRANGER, "10.0.0.1", "203.0.113.9", 25), VERDICT_PASS); /* not of the tree */
    assert_int_equal(COUNTER(f, connections_blocked), 4);
}

static void r1_a_held_syn_is_blocked_too(void **state)
{
    struct fixture *f = *state;
    struct tuple a = to(f, "10.0.0.1", "203.0.113.9", 25), b = to(f, "10.0.0.1", "203.0.113.9", 25);
    RULES(f, about(RULE_BLOCK, NULL, 0, 25));
    assert_int_equal(send_syn(f, &a, 100), VERDICT_HOLD);
    connects_late(f, ROOT, &a);
    assert_int_equal(f->injected_count, 1);
    check_refused(f, &a, false);
    f->world.owner = ROOT; /* by the TCP table */
    assert_int_equal(send_syn(f, &b, 100), VERDICT_HOLD);
    pass_time(f, fixture_config().hold_timeout_ms / 2 + 1);
    assert_int_equal(f->injected_count, 2);
    check_refused(f, &b, false);
    assert_int_equal(send_syn(f, &b, 100), VERDICT_DROP); /* sent again */
    assert_int_equal(COUNTER(f, connections_blocked), 3);
}

/* Also where nothing is redirected but what comes in, and over loopback. */
static void r1_blocking_needs_no_proxy(void **state)
{
    struct engine_config config = machine_config();
    config.proxy_port = 0;
    struct fixture *f = machine_renew(state, &config);
    RULES(f, about(RULE_BLOCK, NULL, 0, 25));
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 25), VERDICT_DROP);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 26), VERDICT_PASS);
    f->loopback = true;
    struct tuple t = to(f, "127.0.0.1", "127.0.0.1", 25);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    check_refused(f, &t, true); /* loopback packets exist only outbound */
}

static void r1_a_process_that_is_named_needs_not_be_of_the_tree(void **state)
{
    struct fixture *f = *state;
    has_path(f, STRANGER, "C:\\Program Files\\spy.exe");
    struct rule redirect = about(RULE_REDIRECT, "203.0.113.0", 24, 0), block = about(RULE_BLOCK, NULL, 0, 25);
    redirect.program = block.program = "spy.exe";
    RULES(f, redirect, block);
    assert_int_equal(opens_to(f, STRANGER, "10.0.0.1", "203.0.113.9", 443), VERDICT_REWRITE);
    assert_int_equal(opens_to(f, STRANGER, "10.0.0.1", "203.0.114.9", 443), VERDICT_PASS);
    assert_int_equal(opens_to(f, STRANGER, "10.0.0.1", "203.0.114.9", 25), VERDICT_DROP);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.114.9", 25), VERDICT_REWRITE);
}

static void r1_the_proxy_is_told_which_upstream_the_rule_names(void **state)
{
    struct fixture *f = *state;
    struct rule rule = about(RULE_REDIRECT, "203.0.113.0", 24, 0);
    rule.upstream = 77;
    RULES(f, rule);
    struct destination d;
    struct tuple a = to(f, "10.0.0.1", "203.0.113.9", 443), b = to(f, "10.0.0.1", "203.0.114.9", 443);
    connects(f, ROOT, &a);
    assert_int_equal(send_syn(f, &a, 100), VERDICT_REWRITE);
    assert_true(destinations_find(engine_destinations(engine_of(f)), source_port(&a), &d) && d.upstream == 77);
    assert_int_equal(send_syn(f, &b, 100), VERDICT_HOLD); /* and one whose event comes late */
    connects_late(f, ROOT, &b);
    assert_true(destinations_find(engine_destinations(engine_of(f)), source_port(&b), &d) && d.upstream == 0);
}

static void r1_what_comes_in_is_judged_by_its_peer_and_the_port_it_goes_to(void **state)
{
    struct fixture *f = *state;
    struct rule pass = about(RULE_PASS, "203.0.113.0", 24, SOMEWHERE), block = about(RULE_BLOCK, "198.51.100.7", 32, 0);
    pass.direction = block.direction = RULE_INCOMING;
    opens(f, ROOT, "0.0.0.0", SOMEWHERE);
    opens(f, ROOT, "0.0.0.0", SOMEWHERE + 1);
    RULES(f, pass, block);
    struct tuple t = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", SOMEWHERE);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS);
    t = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", SOMEWHERE + 1);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_REWRITE);
    t = tuple_of("203.0.114.9", fresh_port(f), "10.0.0.1", SOMEWHERE);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_REWRITE);
    t = tuple_of("198.51.100.7", fresh_port(f), "10.0.0.1", SOMEWHERE);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_DROP);
    check_refused(f, &t, true);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "198.51.100.7", 443), VERDICT_REWRITE); /* the other direction */
    assert_int_equal(COUNTER(f, connections_blocked), 1);
}

/* A listener is led by a rule about some of its peers, though it is nobody's of the tree. */
static void r1_a_strangers_listener_is_led_for_the_peers_that_are_named(void **state)
{
    struct fixture *f = *state;
    has_path(f, STRANGER, "C:\\nginx.exe");
    struct rule rule = about(RULE_REDIRECT, "203.0.113.0", 24, 0);
    rule.program = "nginx.exe";
    rule.direction = RULE_INCOMING;
    opens(f, STRANGER, "0.0.0.0", SOMEWHERE);
    RULES(f, rule);
    struct tuple t = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", SOMEWHERE);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_REWRITE);
    t = tuple_of("203.0.114.9", fresh_port(f), "10.0.0.1", SOMEWHERE);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS);
}

static void r1_rules_of_another_protocol_say_nothing_of_tcp(void **state)
{
    struct fixture *f = *state;
    struct rule rule = about(RULE_BLOCK, NULL, 0, 443);
    rule.protocol = PROTOCOL_UDP;
    RULES(f, rule);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_REWRITE);
}

static void is_named(struct fixture *f, const char *address, const char *name)
{
    uint32_t family;
    ip_addr a = address_of(address, &family);
    assert_true(engine_tell_name(engine_of(f), &a, family, name));
}

/* R2: a name counts where it was told, and of two for one address the later one. */
static void r2_names_count_as_they_were_told(void **state)
{
    struct fixture *f = *state;
    RULES(f, {.action = RULE_BLOCK, .host = "*.example.org"});
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_REWRITE);
    is_named(f, "203.0.113.9", "www.example.org");
    is_named(f, "2001:db8:6::1", "www.example.org");
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_DROP);
    assert_int_equal(opens_to(f, ROOT, "2001:db8::1", "2001:db8:6::1", 443), VERDICT_DROP);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.8", 443), VERDICT_REWRITE);
    is_named(f, "203.0.113.9", "other.test");
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_REWRITE);
    is_named(f, "203.0.113.9", "www.example.org");
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), VERDICT_DROP);
}

/* The table is bounded: new names take the place of old ones, and none is mistaken for another's. */
static void r2_many_names_are_kept_and_the_oldest_forgotten(void **state)
{
    struct fixture *f = *state;
    RULES(f, {.action = RULE_BLOCK, .host = "last.test"}, {.action = RULE_PASS, .host = "first.test"});
    is_named(f, "203.0.113.1", "first.test");
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.1", 443), VERDICT_PASS);
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        char address[40];
        snprintf(address, sizeof address, "2001:db8:7::%x", (unsigned)i);
        is_named(f, address, "x.test");
    }
    is_named(f, "203.0.113.2", "last.test");
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.1", 443), VERDICT_REWRITE);
    assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.2", 443), VERDICT_DROP);
    assert_int_equal(opens_to(f, ROOT, "2001:db8::1", "2001:db8:7::fff", 443), VERDICT_REWRITE);
}

/* R3 */
static void r3_changed_rules_apply_to_new_connections_at_once_and_to_no_other(void **state)
{
    struct fixture *f = *state;
    struct tuple open = tuple4(), steered = established(f, &open), reply = tuple_reversed(&steered);
    for (int i = 0; i < 100; i++) {
        if (i % 2) {
            RULES(f, about(RULE_BLOCK, NULL, 0, 0));
        } else {
            RULES(f, about(RULE_PASS, "203.0.113.0", 24, 0));
        }
        assert_int_equal(opens_to(f, ROOT, "10.0.0.1", "203.0.113.9", 443), i % 2 ? VERDICT_DROP : VERDICT_PASS);
        assert_int_equal(send_segment(f, data_of(&open, 101 + (uint32_t)i, 501 + (uint32_t)i, 1)), VERDICT_REWRITE);
        assert_int_equal(send_segment(f, data_of(&reply, 501 + (uint32_t)i, 102 + (uint32_t)i, 1)), VERDICT_REWRITE);
    }
    assert_true(maps(f, source_port(&open), &open, ROOT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(r1_connections_to_some_places_pass_and_to_others_are_blocked),
        WITH_MACHINE(r1_a_held_syn_is_blocked_too),
        WITH_MACHINE(r1_blocking_needs_no_proxy),
        WITH_MACHINE(r1_a_process_that_is_named_needs_not_be_of_the_tree),
        WITH_MACHINE(r1_the_proxy_is_told_which_upstream_the_rule_names),
        WITH_MACHINE(r1_what_comes_in_is_judged_by_its_peer_and_the_port_it_goes_to),
        WITH_MACHINE(r1_a_strangers_listener_is_led_for_the_peers_that_are_named),
        WITH_MACHINE(r1_rules_of_another_protocol_say_nothing_of_tcp),
        WITH_MACHINE(r2_names_count_as_they_were_told),
        WITH_MACHINE(r2_many_names_are_kept_and_the_oldest_forgotten),
        WITH_MACHINE(r3_changed_rules_apply_to_new_connections_at_once_and_to_no_other),
    };
    return cmocka_run_group_tests_name("engine: places", tests, NULL, NULL);
}
