/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connections that another redirector, which stands above this one, leads (O7). */
#include "engine_fixture.h"

enum { OTHERS_PROXY = 9090, OTHERS_INCOMING = 9091 };

/* What another redirector makes of a SYN. */
static struct tuple over_loopback(const struct tuple *t)
{
    bool ip4 = t->family == FAMILY_IP4;
    return tuple_of(ip4 ? "127.0.0.1" : "::1", source_port(t), ip4 ? "127.0.0.1" : "::1", OTHERS_PROXY);
}

static struct tuple reflected(const struct tuple *t)
{
    struct tuple made = *t;
    made.src = t->dst;
    made.dst = t->src;
    made.dst_port = be16_from_host(OTHERS_PROXY);
    return made;
}

static struct tuple to_another_port(const struct tuple *t)
{
    struct tuple made = *t;
    made.dst_port = be16_from_host(OTHERS_INCOMING);
    return made;
}

static void o7_what_another_redirects_passes_at_once_and_counts(void **state)
{
    struct fixture *f = *state;
    struct tuple programs[] = {tuple4(), tuple6()};
    for (int i = 0; i < 2; i++) {
        struct tuple seen = over_loopback(&programs[i]);
        connects(f, ROOT, &programs[i]);
        f->loopback = true;
        assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS);
        assert_int_equal(COUNTER(f, led_by_others), i + 1);
        assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS); /* sent again: the same connection */
        assert_int_equal(COUNTER(f, led_by_others), i + 1);
        f->loopback = false;
    }
    assert_int_equal(COUNTER(f, flows_total), 0);
    assert_int_equal(f->world.owner_asked, 0);
    assert_int_equal(f->world.led, 1); /* said once */
    assert_int_equal(f->world.led_pid, ROOT);
    struct tuple first = tuple4();
    assert_true(tuple_equal(&f->world.led_of, &first));
}

static void o7_of_strangers_it_passes_and_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), seen = over_loopback(&t);
    connects(f, STRANGER, &t);
    f->loopback = true;
    assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, led_by_others), 0);
    assert_int_equal(f->world.led, 0);
}

static void o7_a_syn_that_overtakes_the_event_leaves_with_it(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), seen = over_loopback(&t);
    f->loopback = true;
    assert_int_equal(send_syn(f, &seen, 100), VERDICT_HOLD);
    connects_late(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &seen);
    assert_int_equal(COUNTER(f, led_by_others), 1);
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
    assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS); /* sent again */
    assert_int_equal(COUNTER(f, led_by_others), 1);
}

static void o7_reflected_and_incoming_ones_are_recognised(void **state)
{
    struct engine_config config = fixture_config();
    config.incoming_port = INCOMING_PORT;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4(), seen = reflected(&t);
    listens(f, CHILD, "0.0.0.0", OTHERS_PROXY); /* the other's proxy belongs to our tree */
    listens(f, CHILD, "0.0.0.0", OTHERS_INCOMING);
    listens(f, AGENT, "0.0.0.0", INCOMING_PORT);
    connects(f, ROOT, &t);
    struct segment s = syn_of(&seen, 100);
    make(&f->last, &s);
    f->last.meta.outbound = false;
    assert_int_equal(send_packet(f, &f->last), VERDICT_PASS);
    assert_int_equal(COUNTER(f, led_by_others), 1);
    struct tuple local = tuple_of("127.0.0.1", 50001, "127.0.0.1", 80), changed = to_another_port(&local);
    connects(f, STRANGER, &local);
    f->loopback = true;
    assert_int_equal(send_syn(f, &changed, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void o7_a_connection_straight_to_such_a_port_is_like_any_other(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), straight = over_loopback(&t);
    connects(f, ROOT, &t);
    connects(f, ROOT, &straight); /* the same source port, and an event of its own */
    f->loopback = true;
    assert_int_equal(send_syn(f, &straight, 100), VERDICT_REWRITE);
    f->loopback = false;
    assert_int_equal(send_syn(f, &t, 200), VERDICT_REWRITE);
    assert_int_equal(COUNTER(f, led_by_others), 0);
}

static void o7_other_ports_families_and_addresses_are_not_taken_for_it(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), other_port = over_loopback(&t), other_address = t, six = tuple6();
    struct tuple other_family = over_loopback(&six);
    other_port.src_port = be16_from_host(50009);
    other_address.dst = address_of("93.184.216.35", &other_address.family);
    connects(f, ROOT, &t);
    f->loopback = true;
    assert_int_equal(send_syn(f, &other_port, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &other_family, 100), VERDICT_HOLD);
    f->loopback = false;
    assert_int_equal(send_syn(f, &other_address, 100), VERDICT_HOLD);
    assert_int_equal(COUNTER(f, led_by_others), 0);
}

/* Both have incoming on, and the listener is of both trees: the other's agent reaches the program. */
static void o7_the_other_agents_own_connection_reaches_the_listener(void **state)
{
    struct engine_config config = fixture_config();
    config.incoming_port = INCOMING_PORT;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple peer = tuple_of("127.0.0.1", 50001, "127.0.0.1", 80), changed = to_another_port(&peer);
    struct tuple own = tuple_of("127.0.0.1", 50002, "127.0.0.1", 80), next = own;
    next.src_port = be16_from_host(50003);
    listens(f, ROOT, "127.0.0.1", 80);
    listens(f, CHILD, "0.0.0.0", OTHERS_INCOMING);
    listens(f, AGENT, "0.0.0.0", INCOMING_PORT);
    f->loopback = true;
    connects(f, STRANGER, &peer);
    assert_int_equal(send_syn(f, &changed, 100), VERDICT_PASS);
    connects(f, CHILD, &own);
    assert_int_equal(send_syn(f, &own, 100), VERDICT_PASS);
    connects(f, STRANGER, &next); /* nobody has led this one */
    assert_int_equal(send_syn(f, &next, 100), VERDICT_REWRITE);
}

/* The other one has stopped, and what it led is sent again as the program sent it: its handshake is under way. */
static void o7_what_another_led_is_not_redirected_in_mid_handshake(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), seen = over_loopback(&t);
    connects(f, ROOT, &t);
    f->loopback = true;
    assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS);
    f->loopback = false;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    connects(f, ROOT, &t); /* a new connection */
    assert_int_equal(send_syn(f, &t, 300), VERDICT_REWRITE);
}

static void o7_with_refusals_on_it_is_not_refused(void **state)
{
    struct engine_config config = fixture_config();
    config.fail_closed = true;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4(), seen = over_loopback(&t);
    connects(f, ROOT, &t);
    f->loopback = true;
    assert_int_equal(send_syn(f, &seen, 100), VERDICT_PASS);
    assert_int_equal(f->injected_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o7_what_another_redirects_passes_at_once_and_counts),
        WITH_ENGINE(o7_of_strangers_it_passes_and_does_not_count),
        WITH_ENGINE(o7_a_syn_that_overtakes_the_event_leaves_with_it),
        WITH_ENGINE(o7_reflected_and_incoming_ones_are_recognised),
        WITH_ENGINE(o7_a_connection_straight_to_such_a_port_is_like_any_other),
        WITH_ENGINE(o7_other_ports_families_and_addresses_are_not_taken_for_it),
        WITH_ENGINE(o7_the_other_agents_own_connection_reaches_the_listener),
        WITH_ENGINE(o7_what_another_led_is_not_redirected_in_mid_handshake),
        WITH_ENGINE(o7_with_refusals_on_it_is_not_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
