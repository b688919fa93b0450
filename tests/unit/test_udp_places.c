/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rules about where datagrams go: redirected, passed, dropped (R1, R3). */
#include "udp_fixture.h"

static void set_rules(struct udp_fixture *f, const struct rule *all, uint32_t count)
{
    struct rules *rules = rules_new();
    assert_non_null(rules);
    for (uint32_t i = 0; i < count; i++) {
        assert_null(rules_add(rules, &all[i]));
    }
    engine_set_rules(engine_of(f), rules);
}

static struct tuple to_port(uint16_t from, uint16_t port)
{
    struct tuple t = udp4();
    t.src_port = be16_from_host(from);
    t.dst_port = be16_from_host(port);
    return t;
}

static void r1_datagrams_to_some_ports_pass_and_to_others_are_dropped(void **state)
{
    struct udp_fixture *f = *state;
    const struct rule rules[] = {{.action = RULE_PASS, .first_port = 123, .last_port = 123},
                                 {.action = RULE_BLOCK, .protocol = PROTOCOL_UDP, .first_port = 443, .last_port = 443},
                                 {.action = RULE_BLOCK, .protocol = PROTOCOL_TCP, .first_port = 53, .last_port = 53},
                                 {.action = RULE_REDIRECT, .upstream = 9, .first_port = 500, .last_port = 500}};
    set_rules(f, rules, 4);
    struct tuple ntp = to_port(50000, 123), quic = to_port(50000, 443), dns = to_port(50000, 53),
                 vpn = to_port(50000, 500);
    sends_to(f, ROOT, &ntp, 1);
    sends_to(f, ROOT, &quic, 1);
    sends_to(f, ROOT, &dns, 1);
    sends_to(f, ROOT, &vpn, 1);
    assert_int_equal(send_udp(f, &ntp), VERDICT_PASS);
    assert_int_equal(send_udp(f, &quic), VERDICT_DROP);
    assert_int_equal(send_udp(f, &quic), VERDICT_DROP);
    assert_int_equal(UDP_COUNTER(f, udp_packets_blocked), 2);
    assert_int_equal(send_udp(f, &dns), VERDICT_REWRITE);
    assert_int_equal(send_udp(f, &vpn), VERDICT_REWRITE);
    struct destination d;
    const struct tuple steered = udp_tuple_in(&f->last);
    assert_true(destinations_find(engine_udp_destinations(engine_of(f)), be16_to_host(steered.src_port), &d));
    assert_int_equal(d.upstream, 9);
    struct tuple other = to_port(50001, 443);
    sends_to(f, STRANGER, &other, 2);
    assert_int_equal(send_udp(f, &other), VERDICT_PASS);
}

/* The bound socket alone is known, and that it is judged is kept: no host is asked for each datagram. */
static void r1_without_an_event_of_the_pair(void **state)
{
    struct udp_fixture *f = *state;
    const struct rule rules[] = {{.action = RULE_PASS, .program = "nobody.exe"},
                                 {.action = RULE_BLOCK, .first_port = 443, .last_port = 443}};
    set_rules(f, rules, 2);
    struct tuple quic = to_port(50000, 443), dns = to_port(50000, 53);
    binds(f, ROOT, "0.0.0.0", 50000, 1);
    assert_int_equal(send_udp(f, &quic), VERDICT_DROP);
    assert_int_equal(send_udp(f, &dns), VERDICT_REWRITE);
    engine_of(f)->host.process_path = NULL; /* nobody is asked any more */
    engine_of(f)->host.process_facts = NULL;
    assert_int_equal(send_udp(f, &quic), VERDICT_DROP);
    assert_int_equal(send_udp(f, &dns), VERDICT_REWRITE);
}

static void r3_changed_rules_count_for_new_flows(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = to_port(50000, 443), other = to_port(50000, 444);
    sends_to(f, ROOT, &t, 1);
    sends_to(f, ROOT, &other, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
    const struct rule block = {.action = RULE_BLOCK};
    set_rules(f, &block, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE); /* its flow goes on */
    assert_int_equal(send_udp(f, &other), VERDICT_DROP);
    engine_set_rules(engine_of(f), NULL);
    assert_int_equal(send_udp(f, &other), VERDICT_REWRITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(r1_datagrams_to_some_ports_pass_and_to_others_are_dropped),
        WITH_UDP(r1_without_an_event_of_the_pair),
        WITH_UDP(r3_changed_rules_count_for_new_flows),
    };
    return cmocka_run_group_tests_name("udp: places", tests, NULL, NULL);
}
