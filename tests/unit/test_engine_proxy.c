/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A proxy that is not there: connections pass or are refused, and it may come and go (O4). */
#include "machine.h"

enum { MINUTE_MS = 60000, SECOND_MS = 1000 };

static struct tuple fresh(struct fixture *f, uint32_t family)
{
    struct tuple t = family == FAMILY_IP4 ? tuple4() : tuple6();
    t.src_port = be16_from_host(fresh_port(f));
    return t;
}

/* A new connection of the tree: what becomes of its SYN. */
static enum verdict connecting(struct fixture *f, uint32_t family)
{
    struct tuple t = fresh(f, family);
    connects(f, ROOT, &t);
    return send_syn(f, &t, 100);
}

static struct fixture *without_proxy(void **state, bool refuse)
{
    struct engine_config config = machine_config();
    config.fail_closed = refuse;
    return machine_renew_bare(state, &config);
}

/* Both proxies of the standard machine listen no more, and there is no event that says so. */
static void proxy_dies(struct fixture *f)
{
    closes_unheard(f, "127.0.0.1", PROXY_PORT);
    closes_unheard(f, "::1", PROXY_PORT);
}

static void o4_where_nothing_listens_the_connection_passes_as_it_came(void **state)
{
    struct fixture *f = without_proxy(state, false);
    struct tuple t = fresh(f, FAMILY_IP4), proxy = tuple_of("127.0.0.1", source_port(&t), "127.0.0.1", PROXY_PORT);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_true(maps_nothing(f, source_port(&t)));
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_PASS);
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 100)), VERDICT_PASS);
    assert_int_equal(f->world.warned, 1);
    assert_true(tuple_equal(&f->world.warned_of, &proxy));
    assert_int_equal(COUNTER(f, proxy_not_listening), 1);
    assert_int_equal(COUNTER(f, flows_total), 0);
    assert_int_equal(f->injected_count, 0);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
    assert_int_equal(COUNTER(f, proxy_not_listening), 2);
}

static void o4_a_held_syn_passes_as_it_came_too(void **state)
{
    struct fixture *f = without_proxy(state, false);
    struct tuple t = fresh(f, FAMILY_IP6);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects_late(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    assert_true(injected_is(f, 0, syn_of(&t, 100)));
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

static void o4_each_family_by_itself(void **state)
{
    struct fixture *f = without_proxy(state, false);
    opens(f, AGENT, "127.0.0.1", PROXY_PORT);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
    closes(f, AGENT, "127.0.0.1", PROXY_PORT);
    opens(f, AGENT, "::1", PROXY_PORT);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_REWRITE);
    opens(f, AGENT, "10.0.0.1", PROXY_PORT); /* not where we lead to */
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
    opens(f, AGENT, "::", PROXY_PORT);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE); /* dual-stack */
}

static void o4_strangers_are_not_warned_of(void **state)
{
    struct fixture *f = without_proxy(state, true);
    struct tuple t = fresh(f, FAMILY_IP4);
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(f->world.warned, 0);
    assert_int_equal(COUNTER(f, proxy_not_listening), 0);
}

static void o4_warned_once_a_minute(void **state)
{
    struct fixture *f = without_proxy(state, false);
    for (int second = 0; second < 180; second++) {
        connecting(f, second % 2 ? FAMILY_IP4 : FAMILY_IP6);
        assert_int_equal(f->world.warned, 1 + second / 60);
        pass_time(f, SECOND_MS);
    }
    assert_int_equal(COUNTER(f, proxy_not_listening), 180);
}

static void o4_nothing_is_warned_of_while_the_proxy_is_there(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(connecting(f, i % 2 ? FAMILY_IP4 : FAMILY_IP6), VERDICT_REWRITE);
        pass_time(f, MINUTE_MS);
    }
    assert_int_equal(f->world.warned, 0);
    assert_int_equal(COUNTER(f, proxy_not_listening), 0);
}

static uint8_t flags_in(const struct made *m)
{
    return m->bytes[m->tcp_offset + 13];
}

/* What a program takes for "connection refused": a reset that acknowledges its SYN, from where it wanted to go. */
static void check_refusal(const struct fixture *f, uint32_t n, const struct tuple *t, uint32_t isn, bool outbound)
{
    assert_int_equal(f->injected_count, n + 1);
    const struct made *rst = f->injected[n];
    struct tuple back = tuple_reversed(t);
    assert_tuple(rst, &back);
    assert_int_equal(flags_in(rst), TCP_RST | TCP_ACK);
    assert_int_equal(wire32(rst->bytes + rst->tcp_offset + 8), isn + 1);
    assert_int_equal(rst->length, rst->tcp_offset + 20);
    assert_true(ip_checksum_right(rst) && tcp_checksum_right(rst));
    assert_true(rst->meta.ip_checksum_valid && rst->meta.transport_checksum_valid);
    assert_int_equal(rst->meta.outbound, outbound);
    assert_int_equal(rst->meta.if_index, 7);
    assert_int_equal(rst->meta.sub_if_index, 3);
}

static void o4_refused_if_so_configured(void **state)
{
    struct fixture *f = without_proxy(state, true);
    for (uint32_t i = 0; i < 4; i++) {
        struct tuple t = fresh(f, i % 2 ? FAMILY_IP4 : FAMILY_IP6);
        if (i >= 2) { /* within the machine: loopback packets exist only outbound */
            t.dst = t.src;
            f->loopback = true;
        }
        struct segment s = syn_of(&t, 4000);
        connects(f, ROOT, &t);
        make(&f->last, &s);
        f->last.meta.loopback = f->loopback;
        f->last.meta.ip_checksum_valid = f->last.meta.transport_checksum_valid =
            i % 2; /* the reset's own are right anyhow */
        assert_int_equal(send_packet(f, &f->last), VERDICT_DROP);
        check_refusal(f, i, &t, 4000, i >= 2);
    }
    assert_int_equal(COUNTER(f, proxy_not_listening), 4);
    assert_int_equal(COUNTER(f, packets_dropped), 4);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

/* Windows tries a refused SYN again. */
static void o4_refused_again_and_led_when_the_proxy_is_there(void **state)
{
    struct fixture *f = without_proxy(state, true);
    struct tuple t = fresh(f, FAMILY_IP4);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects_late(f, ROOT, &t);
    check_refusal(f, 0, &t, 100, false); /* and the SYN itself never leaves */
    pass_time(f, 500);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_DROP);
    check_refusal(f, 1, &t, 100, false);
    opens(f, AGENT, "127.0.0.1", PROXY_PORT);
    pass_time(f, 500);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    assert_true(maps(f, source_port(&t), &t, ROOT));
}

static void o4_what_passed_for_want_of_a_proxy_is_not_caught_in_mid_handshake(void **state)
{
    struct fixture *f = without_proxy(state, false);
    struct tuple t = fresh(f, FAMILY_IP4);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    opens(f, AGENT, "127.0.0.1", PROXY_PORT);
    pass_time(f, 1000);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
}

static void o4_the_proxy_may_come_and_go(void **state)
{
    struct fixture *f = without_proxy(state, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
        opens(f, AGENT, "127.0.0.1", PROXY_PORT);
        struct tuple t = fresh(f, FAMILY_IP4), s = established(f, &t), reply = tuple_reversed(&s);
        closes(f, AGENT, "127.0.0.1", PROXY_PORT);
        assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
        assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE); /* it goes on accepting none, */
        assert_int_equal(send_segment(f, data_of(&reply, 501, 111, 10)), VERDICT_REWRITE); /* but serving what it has */
        assert_true(maps(f, source_port(&t), &t, ROOT));
    }
}

static void o4_a_proxy_of_another_process_than_the_agent_is_a_proxy(void **state)
{
    struct fixture *f = without_proxy(state, false);
    opens(f, 512, "0.0.0.0", PROXY_PORT); /* the agent's child, for one */
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
}

static void o4_a_lost_listen_event_is_made_good_by_a_look_at_most_once_a_second(void **state)
{
    struct fixture *f = without_proxy(state, false);
    pass_time(f, SECOND_MS);
    uint32_t before = f->world.listening.asked;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
    }
    assert_int_equal(f->world.listening.asked, before + 1);
    listens_unheard(f, AGENT, "127.0.0.1", PROXY_PORT);
    for (int ms = 0; ms < SECOND_MS; ms += 100) {
        connecting(f, FAMILY_IP6);
        pass_time(f, 100);
    }
    assert_in_range(f->world.listening.asked, before + 1, before + 2);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
    assert_in_range(f->world.listening.asked, before + 2, before + 3);
}

/* Its process was killed and the event of it was lost. Leading connections to it now would refuse them all. */
static void o4_a_lost_close_event_of_the_proxy_does_not_matter_for_long(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
    proxy_dies(f);
    pass_time(f, SCAN_MS);
    pass_time(f, SCAN_MS);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
}

static void o4_a_look_that_fails_drops_nothing(void **state)
{
    struct fixture *f = *state;
    proxy_dies(f); /* as far as half a table tells */
    opens(f, ROOT, "10.0.0.1", 80);
    f->world.listening.fails = true;
    for (int i = 0; i < 5; i++) {
        pass_time(f, SECOND_MS);
        world_scan_listeners(&f->world);
        assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
        assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_REWRITE);
        struct tuple in = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", 80);
        taken_in(f, &in, 100);
    }
    f->world.listening.fails = false; /* the first whole one tells the truth */
    world_scan_listeners(&f->world);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_PASS);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
    struct tuple in = tuple_of("203.0.113.9", fresh_port(f), "10.0.0.1", 80);
    taken_in(f, &in, 100);
}

/* What half a table does tell of is there, though. */
static void o4_a_look_that_fails_still_finds_what_it_saw(void **state)
{
    struct fixture *f = without_proxy(state, false);
    listens_unheard(f, AGENT, "127.0.0.1", PROXY_PORT);
    listens_unheard(f, AGENT, "::1", PROXY_PORT);
    f->world.listening.fails = true;
    pass_time(f, SECOND_MS);
    assert_int_equal(connecting(f, FAMILY_IP4), VERDICT_REWRITE);
    assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
}

static void o3_o4_steered_by_reflection_the_proxy_must_listen_on_that_address_or_on_all(void **state)
{
    struct engine_config config = machine_config();
    static const char *const listening[] = {"127.0.0.1", "10.0.0.2", "10.0.0.1", "0.0.0.0"};
    config.reflect = true;
    for (int i = 0; i < 4; i++) {
        struct fixture *f = machine_renew_bare(state, &config);
        listens_unheard(f, AGENT, listening[i], PROXY_PORT);
        world_scan_listeners(&f->world);
        assert_int_equal(connecting(f, FAMILY_IP4), i >= 2 ? VERDICT_REWRITE : VERDICT_PASS);
        assert_int_equal(connecting(f, FAMILY_IP6), VERDICT_PASS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(o4_where_nothing_listens_the_connection_passes_as_it_came),
        WITH_MACHINE(o4_a_held_syn_passes_as_it_came_too),
        WITH_MACHINE(o4_each_family_by_itself),
        WITH_MACHINE(o4_strangers_are_not_warned_of),
        WITH_MACHINE(o4_warned_once_a_minute),
        WITH_MACHINE(o4_nothing_is_warned_of_while_the_proxy_is_there),
        WITH_MACHINE(o4_refused_if_so_configured),
        WITH_MACHINE(o4_refused_again_and_led_when_the_proxy_is_there),
        WITH_MACHINE(o4_what_passed_for_want_of_a_proxy_is_not_caught_in_mid_handshake),
        WITH_MACHINE(o4_the_proxy_may_come_and_go),
        WITH_MACHINE(o4_a_proxy_of_another_process_than_the_agent_is_a_proxy),
        WITH_MACHINE(o4_a_lost_listen_event_is_made_good_by_a_look_at_most_once_a_second),
        WITH_MACHINE(o4_a_lost_close_event_of_the_proxy_does_not_matter_for_long),
        WITH_MACHINE(o4_a_look_that_fails_drops_nothing),
        WITH_MACHINE(o4_a_look_that_fails_still_finds_what_it_saw),
        WITH_MACHINE(o3_o4_steered_by_reflection_the_proxy_must_listen_on_that_address_or_on_all),
    };
    return cmocka_run_group_tests_name("engine: proxy", tests, NULL, NULL);
}
