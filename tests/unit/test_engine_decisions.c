/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connections that somebody decides: their SYN waits for the answer, and fares as that says (O8). */
#include "machine.h"

#include "engine/decisions.h"

enum { DECIDE_MS = 3000 };

static struct engine_config deciding(void)
{
    struct engine_config config = fixture_config();
    config.decision_timeout_ms = DECIDE_MS;
    return config;
}

static int deciding_set_up(void **state)
{
    struct engine_config config = deciding();
    *state = fixture_new(&config);
    return 0;
}

#define WITH_DECISIONS(test) cmocka_unit_test_setup_teardown(test, deciding_set_up, fixture_tear_down)

static struct decisions *decisions_of(const struct fixture *f)
{
    return engine_decisions(engine_of(f));
}

/* Its SYN is held, and it is asked about. Returns its id. */
static uint64_t asked(struct fixture *f, const struct tuple *t, uint32_t isn)
{
    struct undecided u;
    connects(f, ROOT, t);
    assert_int_equal(send_syn(f, t, isn), VERDICT_HOLD);
    assert_true(decisions_take(decisions_of(f), &u));
    assert_true(tuple_equal(&u.tuple, t));
    assert_int_equal(u.pid, ROOT);
    assert_int_not_equal(u.id, 0);
    return u.id;
}

static void decide(struct fixture *f, uint64_t id, enum decision decision)
{
    assert_true(decisions_decide(decisions_of(f), id, decision));
    pass_time(f, 0);
}

static bool injected_syn(const struct fixture *f, uint32_t n, const struct tuple *t, uint32_t isn)
{
    return injected_is(f, n, syn_of(t, isn)) && f->injected[n]->meta.outbound;
}

static bool injected_refusal(const struct fixture *f, uint32_t n, const struct tuple *t, uint32_t isn)
{
    struct tuple back = tuple_reversed(t);
    struct packet p;
    return f->injected_count > n && packet_parse(f->injected[n]->bytes, f->injected[n]->length, &p) == PACKET_TCP &&
           tuple_equal(&p.tuple, &back) && p.flags == (TCP_RST | TCP_ACK) && p.ack == isn + 1 &&
           !f->injected[n]->meta.outbound && tcp_checksum_right(f->injected[n]) && ip_checksum_right(f->injected[n]);
}

/* The n-th injected packet is the SYN, redirected; the proxy learns the id by its peer. */
static struct tuple injected_redirected(const struct fixture *f, uint32_t n, const struct tuple *t, uint64_t id)
{
    struct destination d;
    assert_true(f->injected_count > n);
    struct tuple seen = tuple_in(f->injected[n]);
    assert_int_equal(be16_to_host(seen.dst_port), PROXY_PORT);
    assert_true(f->mapped_when_injected[n]);
    assert_true(maps(f, source_port(&seen), t, ROOT));
    assert_true(destinations_find(engine_destinations(engine_of(f)), source_port(&seen), &d));
    assert_true(d.decision_id == id);
    return seen;
}

static void o8_a_connection_waits_for_the_decision_and_is_redirected(void **state)
{
    struct fixture *f = *state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t id = asked(f, &tuples[i], 100);
        pass_time(f, 500);
        assert_int_equal(f->injected_count, i);
        assert_int_equal(send_syn(f, &tuples[i], 100), VERDICT_DROP); /* its retransmission */
        decide(f, id, DECISION_ACCEPT);
        struct tuple seen = injected_redirected(f, i, &tuples[i], id);
        hand_shake(f, &tuples[i], &seen);
    }
    assert_int_equal(COUNTER(f, decision_waits), 2);
    assert_int_equal(COUNTER(f, decision_timeouts), 0);
    assert_int_equal(COUNTER(f, flows_total), 2);
}

static void o8_a_refused_connection_gets_rst_at_each_of_its_syns(void **state)
{
    struct fixture *f = *state;
    struct tuple tuples[] = {tuple4(), tuple6()};
    for (uint32_t i = 0; i < 2; i++) {
        decide(f, asked(f, &tuples[i], 100), DECISION_REFUSE);
        assert_true(injected_refusal(f, 0, &tuples[i], 100));
        for (uint32_t again = 1; again < 5; again++) { /* Windows' TCP takes no for an answer only the fifth time */
            pass_time(f, 500);
            assert_int_equal(send_syn(f, &tuples[i], 100), VERDICT_DROP);
            assert_true(injected_refusal(f, again, &tuples[i], 100));
        }
        assert_int_equal(f->injected_count, 5);
        fixture_forget_injected(f);
        asked(f, &tuples[i], 200); /* a new connection is a new question */
        pass_time(f, DECIDE_MS);
        fixture_forget_injected(f);
    }
    assert_int_equal(COUNTER(f, flows_total), 2);
}

static void o8_a_passed_connection_goes_to_its_destination(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    decide(f, asked(f, &t, 100), DECISION_PASS);
    assert_true(injected_syn(f, 0, &t, 100));
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void o8_a_dropped_connection_is_never_answered(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6();
    decide(f, asked(f, &t, 100), DECISION_DROP);
    for (int again = 0; again < 4; again++) {
        pass_time(f, 10000);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    }
    assert_int_equal(f->injected_count, 0);
    asked(f, &t, 200);
}

static void o8_without_a_decision_it_is_redirected_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct tuple taken = tuple4(), ignored = tuple6();
    uint64_t id = asked(f, &taken, 100);
    connects(f, ROOT, &ignored);
    assert_int_equal(send_syn(f, &ignored, 100), VERDICT_HOLD);
    while (f->injected_count < 2) {
        uint32_t wait = engine_next_tick_ms(engine_of(f), f->world.now);
        pass_time(f, wait);
        assert_in_range(f->world.now, 1000000, 1000000 + DECIDE_MS);
    }
    assert_int_equal(f->world.now, 1000000 + DECIDE_MS);
    injected_redirected(f, 0, &taken, id); /* whoever was asked can still tell which it is */
    assert_int_equal(COUNTER(f, decision_timeouts), 2);
    struct undecided u;
    assert_false(decisions_take(decisions_of(f), &u));
    assert_false(decisions_decide(decisions_of(f), id, DECISION_REFUSE));
}

static void o8_an_answer_at_the_very_limit_counts(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    assert_true(decisions_decide(decisions_of(f), id, DECISION_REFUSE));
    pass_time(f, DECIDE_MS);
    assert_true(injected_refusal(f, 0, &t, 100));
    assert_int_equal(COUNTER(f, decision_timeouts), 0);
}

static void o8_a_program_that_gives_up_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    send_event_of(f, SOCKET_CLOSE, ROOT, &t, EARLY); /* of a former connection on the tuple */
    assert_int_equal(held_now(f), 1);
    send_event(f, SOCKET_CLOSE, ROOT, &t);
    assert_int_equal(held_now(f), 0);
    assert_false(decisions_decide(decisions_of(f), id, DECISION_ACCEPT));
    pass_time(f, DECIDE_MS);
    assert_int_equal(f->injected_count, 0);
    asked(f, &t, 200);
}

/* The event has no scope, the held SYN has. */
static void o8_a_program_that_gives_up_a_link_local_destination(void **state)
{
    enum { LAN = 7 };
    struct fixture *f = *state;
    struct tuple t = tuple_of("fe80::b", 50000, "fe80::9", 80);
    struct segment syn = syn_of(&t, 100);
    world_has_address(&f->world, &t.src, t.family, LAN);
    connects(f, ROOT, &t);
    make(&f->last, &syn);
    f->last.meta.if_index = LAN;
    f->last.meta.outbound = true;
    assert_int_equal(send_packet(f, &f->last), VERDICT_HOLD);
    send_event(f, SOCKET_CLOSE, ROOT, &t);
    assert_int_equal(held_now(f), 0);
}

static void o8_a_new_attempt_on_the_tuple_is_a_new_question(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    uint64_t first = asked(f, &t, 100);
    connects(f, ROOT, &t); /* it is still held, and asked about: nothing changes */
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    assert_int_equal(send_syn(f, &t, 200), VERDICT_HOLD);
    assert_false(decisions_decide(decisions_of(f), first, DECISION_REFUSE));
    connects_late(f, ROOT, &t);
    f->world.owner = ROOT;
    pass_time(f, HOLD_MS / 2);
    struct undecided u;
    assert_true(decisions_take(decisions_of(f), &u));
    decide(f, u.id, DECISION_ACCEPT);
    injected_redirected(f, 0, &t, u.id);
}

static void o8_only_outgoing_connections_of_the_tree_are_asked_about(void **state)
{
    struct engine_config config = machine_config();
    config.decision_timeout_ms = DECIDE_MS;
    struct fixture *f = machine_renew(state, &config);
    opens(f, ROOT, "10.0.0.1", 80);
    struct tuple stranger = tuple4(), incoming = from_peer(f, "10.0.0.1", 80);
    struct tuple direct = tuple_of("127.0.0.1", 50001, "127.0.0.1", PROXY_PORT);
    connects(f, STRANGER, &stranger);
    assert_int_equal(send_syn(f, &stranger, 100), VERDICT_PASS);
    taken_in(f, &incoming, 100);
    f->loopback = true;
    assert_int_equal(send_syn(f, &direct, 100), VERDICT_PASS);
    f->loopback = false;
    closes(f, AGENT, "127.0.0.1", PROXY_PORT); /* and while there is a proxy (O4) */
    struct tuple t = tuple_of("10.0.0.1", 50002, "93.184.216.34", 443);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, decision_waits), 0);
}

static void o8_the_proxy_may_go_while_a_connection_waits(void **state)
{
    struct engine_config config = machine_config();
    config.decision_timeout_ms = DECIDE_MS;
    config.fail_closed = true;
    struct fixture *f = machine_renew(state, &config);
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    closes(f, AGENT, "127.0.0.1", PROXY_PORT);
    decide(f, id, DECISION_ACCEPT);
    assert_true(injected_refusal(f, 0, &t, 100));
    assert_int_equal(COUNTER(f, proxy_not_listening), 1);
}

static void o8_rules_that_change_meanwhile_are_for_later_connections(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), other = tuple6();
    uint64_t id = asked(f, &t, 100);
    struct rules *rules = rules_new();
    assert_null(rules_add(rules, &(struct rule){.action = RULE_PASS, .pid = ROOT}));
    engine_set_rules(engine_of(f), rules);
    decide(f, id, DECISION_ACCEPT);
    injected_redirected(f, 0, &t, id);
    connects(f, ROOT, &other);
    assert_int_equal(send_syn(f, &other, 100), VERDICT_PASS);
}

static void o8_the_port_is_captured_while_the_decision_is_made(void **state)
{
    struct engine_config config = machine_config();
    config.decision_timeout_ms = DECIDE_MS;
    fixture_free(*state);
    struct fixture *f = *state = machine_with_proxies(machine_without_filter(&config));
    assert_non_null(world_replace_filter(&f->world, true));
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    const struct capture_set *set = world_replace_filter(&f->world, true);
    assert_true(set && port_set_has(&set->outbound, source_port(&t)));
    assert_int_equal(held_now(f), 1);
    decide(f, id, DECISION_ACCEPT);
    injected_redirected(f, 0, &t, id);
    assert_int_equal(COUNTER(f, capture_waits), 0);
}

static void o8_decided_before_the_filter_is_there_it_waits_for_that(void **state)
{
    struct engine_config config = machine_config();
    config.decision_timeout_ms = DECIDE_MS;
    fixture_free(*state);
    struct fixture *f = *state = machine_with_proxies(machine_without_filter(&config));
    assert_non_null(world_replace_filter(&f->world, true));
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    decide(f, id, DECISION_ACCEPT);
    assert_int_equal(f->injected_count, 0);
    assert_non_null(world_replace_filter(&f->world, true));
    injected_redirected(f, 0, &t, id); /* and nobody is asked again */
    assert_int_equal(COUNTER(f, decision_waits), 1);
}

static void o8_beyond_the_limit_connections_are_redirected_unasked(void **state)
{
    struct engine_config config = deciding();
    config.max_flows = 4 * DECISIONS_MAX;
    struct fixture *f = fixture_renew(state, &config);
    for (uint32_t i = 0; i < DECISIONS_MAX; i++) {
        struct tuple t = tuple_of("10.0.0.1", (uint16_t)(20000 + i), "93.184.216.34", 443);
        asked(f, &t, 100);
    }
    struct tuple beyond = tuple4(), unknown = tuple6();
    redirected(f, ROOT, &beyond, 100);
    assert_int_equal(COUNTER(f, decision_overflows), 1);
    assert_int_equal(send_syn(f, &unknown, 100), VERDICT_HOLD); /* there is room for those whose owner is not known */
    pass_time(f, DECIDE_MS);
    assert_int_equal(COUNTER(f, decision_timeouts), DECISIONS_MAX);
    struct tuple again = tuple_of("10.0.0.1", 40000, "93.184.216.34", 443);
    asked(f, &again, 100);
}

static void o8_stop_lets_what_waits_go_as_it_came(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    uint64_t id = asked(f, &t, 100);
    engine_stop(engine_of(f), true, f->world.now);
    check_balance(f);
    assert_true(injected_syn(f, 0, &t, 100));
    assert_int_equal(f->injected_count, 1);
    assert_false(decisions_decide(decisions_of(f), id, DECISION_REFUSE));
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
}

static void o8_reflection_refuses_and_redirects_too(void **state)
{
    struct engine_config config = deciding();
    config.reflect = true;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4(), other = tuple6();
    decide(f, asked(f, &t, 100), DECISION_REFUSE);
    assert_true(injected_refusal(f, 0, &t, 100));
    uint64_t id = asked(f, &other, 100);
    decide(f, id, DECISION_ACCEPT);
    struct tuple seen = tuple_in(f->injected[1]);
    assert_true(ip_addr_equal(&seen.src, &other.dst) && !f->injected[1]->meta.outbound);
    assert_true(maps(f, source_port(&seen), &other, ROOT));
}

static void o8_loopback_is_answered_outbound(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 443);
    f->loopback = true;
    decide(f, asked(f, &t, 100), DECISION_REFUSE);
    assert_int_equal(f->injected_count, 1);
    assert_true(f->injected[0]->meta.outbound && f->injected[0]->meta.loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DECISIONS(o8_a_connection_waits_for_the_decision_and_is_redirected),
        WITH_DECISIONS(o8_a_refused_connection_gets_rst_at_each_of_its_syns),
        WITH_DECISIONS(o8_a_passed_connection_goes_to_its_destination),
        WITH_DECISIONS(o8_a_dropped_connection_is_never_answered),
        WITH_DECISIONS(o8_without_a_decision_it_is_redirected_at_the_limit),
        WITH_DECISIONS(o8_an_answer_at_the_very_limit_counts),
        WITH_DECISIONS(o8_a_program_that_gives_up_is_not_waited_for),
        WITH_DECISIONS(o8_a_program_that_gives_up_a_link_local_destination),
        WITH_DECISIONS(o8_a_new_attempt_on_the_tuple_is_a_new_question),
        WITH_DECISIONS(o8_only_outgoing_connections_of_the_tree_are_asked_about),
        WITH_DECISIONS(o8_the_proxy_may_go_while_a_connection_waits),
        WITH_DECISIONS(o8_rules_that_change_meanwhile_are_for_later_connections),
        WITH_DECISIONS(o8_the_port_is_captured_while_the_decision_is_made),
        WITH_DECISIONS(o8_decided_before_the_filter_is_there_it_waits_for_that),
        WITH_DECISIONS(o8_beyond_the_limit_connections_are_redirected_unasked),
        WITH_DECISIONS(o8_stop_lets_what_waits_go_as_it_came),
        WITH_DECISIONS(o8_reflection_refuses_and_redirects_too),
        WITH_DECISIONS(o8_loopback_is_answered_outbound),
    };
    return cmocka_run_group_tests_name("engine: decisions", tests, NULL, NULL);
}
