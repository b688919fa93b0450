/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Connections of the library's own (S8): they are led as those of the tree are, in either way of redirecting, and nobody
 * hears of them. `LISTENER` is where they are led, of the process that redirects: here the agent.
 */
#include "machine.h"

enum { OWN_PORT = 50100, LISTENER = 50101, NUMBER = 2 };

static struct tuple own_tuple(uint32_t family)
{
    return family == FAMILY_IP4 ? tuple_of("10.0.0.1", OWN_PORT, "192.0.2.1", 9)
                                : tuple_of("2001:db8:1::1", OWN_PORT, "2001:db8::1", 9);
}

static struct proof_route route_of(uint32_t family, bool reflect)
{
    return (struct proof_route){own_tuple(family), LISTENER, reflect};
}

/* Sends a packet of a proof: it is no packet of the user's. */
static enum verdict send_own(struct fixture *f, struct segment s)
{
    uint64_t seen = COUNTER(f, packets_seen);
    make(&f->last, &s);
    struct made before = f->last;
    enum verdict verdict = engine_packet(engine_of(f), &f->last.meta, f->last.bytes, f->last.length, f->world.now);
    if (verdict == VERDICT_REWRITE) {
        check_rewritten(&before, &f->last);
    }
    assert_int_equal(COUNTER(f, packets_seen), seen);
    check_balance(f);
    return verdict;
}

static uint32_t marks(const struct fixture *f)
{
    return engine_proof_marks(engine_of(f), NUMBER);
}

static struct tuple expected(const struct proof_route *r)
{
    struct tuple t = r->original;
    ip_addr loopback = ip_addr_loopback(t.family);
    t.src = r->reflect ? r->original.dst : loopback;
    t.dst = r->reflect ? r->original.src : loopback;
    t.dst_port = be16_from_host(LISTENER);
    return t;
}

static void s8_a_connection_of_ones_own_is_led_as_any_other(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct engine_config config = machine_config();
        struct fixture *f = machine_renew(state, &config);
        struct proof_route route = route_of(i & 1 ? FAMILY_IP4 : FAMILY_IP6, i & 2);
        const struct tuple *t = &route.original;
        assert_true(engine_prove(engine_of(f), NUMBER, &route));
        assert_int_equal(marks(f), PROOF_CAPTURABLE);
        assert_int_equal(send_own(f, syn_of(t, 100)), VERDICT_REWRITE);
        assert_int_equal(marks(f), PROOF_CAPTURABLE | PROOF_CAPTURED);
        struct tuple steered = expected(&route), back = tuple_reversed(&steered), answer = tuple_reversed(t);
        assert_tuple(&f->last, &steered);
        assert_int_equal(f->last.meta.outbound, !route.reflect);
        assert_int_equal(send_own(f, syn_ack_of(&back, 500, 101)), VERDICT_REWRITE);
        assert_int_equal(marks(f), PROOF_CAPTURABLE | PROOF_CAPTURED | PROOF_ANSWERED);
        assert_tuple(&f->last, &answer);
        assert_false(f->last.meta.outbound);
        assert_int_equal(send_own(f, ack_of(t, 101, 501)), VERDICT_REWRITE);
        assert_tuple(&f->last, &steered);
        /* Its last packets find their way, too, when nothing is proven any more. */
        engine_prove_no_more(engine_of(f));
        assert_int_equal(send_own(f, rst_of(t, 101, 501)), VERDICT_REWRITE);
        assert_int_equal(send_own(f, syn_of(t, 100)), VERDICT_REWRITE); /* sent again */
        pass_time(f, FLOW_OPENING_MS);
        assert_int_equal(engine_of(f)->flows.live, 0);
    }
}

/* No map, no list, no counter, no rule, no event. */
static void s8_nobody_hears_of_it(void **state)
{
    struct fixture *f = *state;
    static struct flow_view views[FLOW_LIST_SLOTS];
    struct proof_route route = route_of(FAMILY_IP4, false);
    struct tuple here = local_end("127.0.0.1", LISTENER), elsewhere = local_end("0.0.0.0", LISTENER);
    struct engine_counters before = *engine_counters(engine_of(f));
    uint32_t listeners = engine_of(f)->listeners.count, count;
    engine_process(engine_of(f), (struct process_id){AGENT, 100}); /* even if it were of the tree */
    assert_true(engine_prove(engine_of(f), NUMBER, &route));
    send_event(f, SOCKET_LISTEN, ROOT, &here);
    engine_listener(engine_of(f), &here, ROOT);
    assert_int_equal(engine_of(f)->listeners.count, listeners);
    send_event(f, SOCKET_CONNECT, ROOT, &route.original);
    assert_int_equal(send_own(f, syn_of(&route.original, 100)), VERDICT_REWRITE);
    assert_true(maps_nothing(f, OWN_PORT));
    engine_list_flows(engine_of(f), 0, views, &count);
    assert_int_equal(count, 0);
    send_event(f, SOCKET_CLOSE, ROOT, &here);
    assert_memory_equal(&before, engine_counters(engine_of(f)), sizeof before);

    send_event(f, SOCKET_LISTEN, ROOT, &elsewhere); /* another socket */
    assert_int_equal(engine_of(f)->listeners.count, listeners + 1);
    engine_prove_no_more(engine_of(f));
    send_event(f, SOCKET_LISTEN, ROOT, &here); /* somebody else's, now */
    assert_int_equal(engine_of(f)->listeners.count, listeners + 2);
    assert_int_equal(COUNTER(f, events_seen), 2);
}

/* What was announced, and nothing else. */
static void s8_other_connections_fare_as_ever(void **state)
{
    struct fixture *f = *state;
    struct proof_route route = route_of(FAMILY_IP4, false);
    struct tuple t = tuple_of("10.0.0.1", OWN_PORT, "192.0.2.1", 10);
    struct tuple u = tuple_of("10.0.0.2", OWN_PORT, "192.0.2.1", 9);
    assert_true(engine_prove(engine_of(f), NUMBER, &route));
    redirected(f, ROOT, &t, 100);
    connects(f, STRANGER, &u);
    assert_int_equal(send_syn(f, &u, 100), VERDICT_PASS);
    assert_int_equal(marks(f), PROOF_CAPTURABLE);
    /* Its source port is taken meanwhile: rather none than one that does not show what it should. */
    assert_int_equal(send_own(f, syn_of(&route.original, 100)), VERDICT_DROP);
    struct proof_route taken = route;
    taken.original.dst_port = be16_from_host(11);
    assert_false(engine_prove(engine_of(f), NUMBER, &taken));
    engine_prove_no_more(engine_of(f));
    connects(f, STRANGER, &route.original);
    assert_int_equal(send_syn(f, &route.original, 200), VERDICT_PASS);
}

/* One that comes to nothing leaves a flow, which is no obstacle to the next one from the same ports. */
static void s8_it_can_be_tried_again_at_once(void **state)
{
    struct fixture *f = *state;
    struct proof_route route = route_of(FAMILY_IP4, false);
    for (uint32_t isn = 100; isn < 400; isn += 100) {
        assert_true(engine_prove(engine_of(f), NUMBER, &route));
        assert_int_equal(send_own(f, syn_of(&route.original, isn)), VERDICT_REWRITE);
        engine_prove_no_more(engine_of(f));
        assert_int_equal(engine_of(f)->flows.live, 1);
    }
}

/* O7: one that stands above has taken its SYN. */
static void s8_another_redirector_that_leads_it_is_recognised(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct engine_config config = machine_config();
        struct fixture *f = machine_renew(state, &config);
        struct proof_route route = route_of(FAMILY_IP4, false);
        struct tuple led =
            i ? tuple_of("192.0.2.1", OWN_PORT, "10.0.0.1", 7777) : tuple_of("127.0.0.1", OWN_PORT, "127.0.0.1", 7777);
        assert_true(engine_prove(engine_of(f), NUMBER, &route));
        f->loopback = !i;
        connects(f, STRANGER, &led);
        assert_int_equal(send_syn(f, &led, 100), VERDICT_PASS);
        assert_int_equal(marks(f), PROOF_CAPTURABLE | PROOF_LED);
    }
}

/* ---- the filter */

static bool captures(const struct capture_set *set, uint16_t port)
{
    return port_set_has(&set->outbound, port);
}

static struct fixture *without_filter(void **state)
{
    struct engine_config config = machine_config();
    fixture_free(*state);
    *state = machine_with_proxies(machine_without_filter(&config));
    return *state;
}

static void s8_the_first_filter_captures_what_is_announced(void **state)
{
    struct fixture *f = without_filter(state);
    struct proof_route route = route_of(FAMILY_IP4, true);
    assert_true(engine_prove(engine_of(f), NUMBER, &route));
    assert_int_equal(marks(f), 0);
    const struct capture_set *set = engine_capture_wanted(engine_of(f), f->world.now);
    assert_true(set && captures(set, OWN_PORT) && captures(set, LISTENER) && !captures(set, LISTENER + 1));
    engine_capture_replaced(engine_of(f), true, f->world.now);
    assert_int_equal(marks(f), PROOF_CAPTURABLE);
    assert_int_equal(send_own(f, syn_of(&route.original, 100)), VERDICT_REWRITE);
    assert_null(engine_capture_wanted(engine_of(f), f->world.now)); /* it need not be replaced */
    engine_prove_no_more(engine_of(f));
    assert_null(engine_capture_wanted(engine_of(f), f->world.now));
    /* The next replacement, which has a reason of its own, drops it. */
    pass_time(f, FLOW_OPENING_MS);
    engine_renew_filter(engine_of(f));
    set = engine_capture_wanted(engine_of(f), f->world.now);
    assert_true(set && !captures(set, OWN_PORT) && !captures(set, LISTENER));
}

static void s8_a_later_one_waits_until_it_is_captured(void **state)
{
    struct fixture *f = without_filter(state);
    struct proof_route route = route_of(FAMILY_IP6, false);
    assert_non_null(world_replace_filter(&f->world, true));
    assert_true(engine_prove(engine_of(f), NUMBER, &route));
    assert_int_equal(marks(f), 0);
    assert_int_equal(send_own(f, syn_of(&route.original, 100)), VERDICT_DROP); /* it may not leave the machine */
    assert_non_null(world_replace_filter(&f->world, true));
    assert_int_equal(marks(f), PROOF_CAPTURABLE);
    assert_int_equal(send_own(f, syn_of(&route.original, 100)), VERDICT_REWRITE);
    assert_int_equal(COUNTER(f, capture_waits), 0);
}

static void s8_a_handle_that_is_opened_anew_is_waited_for(void **state)
{
    struct fixture *f = without_filter(state);
    struct proof_route route = route_of(FAMILY_IP4, false);
    assert_non_null(world_replace_filter(&f->world, true));
    engine_renew_filter(engine_of(f));
    assert_true(engine_prove(engine_of(f), NUMBER, &route));
    assert_non_null(engine_capture_wanted(engine_of(f), f->world.now));
    assert_int_equal(marks(f), 0);
    engine_capture_replaced(engine_of(f), true, f->world.now);
    assert_int_equal(marks(f), PROOF_CAPTURABLE);
    assert_int_equal(COUNTER(f, filter_replacements), 1);

    engine_renew_filter(engine_of(f)); /* though it captures the same */
    assert_non_null(world_replace_filter(&f->world, true));
    assert_int_equal(COUNTER(f, filter_replacements), 2);
}

/* ---- the way of redirecting */

static void s8_a_family_is_redirected_the_other_way_from_now_on(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), u = tuple6(), again = tuple4();
    again.src_port = be16_from_host(fresh_port(f));
    engine_set_steering(engine_of(f), FAMILY_IP4, true);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS); /* the proxy listens on loopback alone (O4) */
    opens(f, AGENT, "0.0.0.0", PROXY_PORT);
    struct tuple steered = redirected(f, ROOT, &again, 100);
    assert_true(ip_addr_equal(&steered.src, &again.dst) && ip_addr_equal(&steered.dst, &again.src));
    steered = redirected(f, ROOT, &u, 100);
    ip_addr loopback = ip_addr_loopback(FAMILY_IP6);
    assert_true(ip_addr_equal(&steered.dst, &loopback));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(s8_a_connection_of_ones_own_is_led_as_any_other, machine_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_nobody_hears_of_it, machine_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_other_connections_fare_as_ever, machine_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_it_can_be_tried_again_at_once, machine_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_another_redirector_that_leads_it_is_recognised, machine_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_the_first_filter_captures_what_is_announced, machine_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_a_later_one_waits_until_it_is_captured, machine_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_a_handle_that_is_opened_anew_is_waited_for, machine_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(s8_a_family_is_redirected_the_other_way_from_now_on, machine_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
