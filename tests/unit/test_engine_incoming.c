/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What becomes of a connection to a port of the tree, from another machine and from this one (N2). Which ports those are
 * is in test_engine_ports.c; lookups, several peers and a missing proxy in test_engine_peers.c.
 */
#include "machine.h"

/* One packet, on interface `if_index`: it must come out so, in the direction and on the interface it came by. */
static void check_packet(struct fixture *f, struct segment s, bool outbound, const struct tuple *want)
{
    make(&f->last, &s);
    f->last.meta.outbound = outbound;
    f->last.meta.loopback = f->loopback;
    assert_int_equal(send_packet(f, &f->last), VERDICT_REWRITE);
    assert_tuple(&f->last, want);
    assert_int_equal(f->last.meta.outbound, outbound);
    assert_int_equal(f->last.meta.if_index, 7);
    assert_int_equal(f->last.meta.sub_if_index, 3);
    assert_int_equal(f->last.meta.loopback, f->loopback);
}

static void check_whole_connection(struct fixture *f, const struct tuple *t, bool inbound)
{
    struct tuple seen = at_port(t, INCOMING_PORT), reply = tuple_reversed(&seen), back = tuple_reversed(t);
    check_packet(f, syn_of(t, 100), !inbound, &seen);
    check_packet(f, syn_of(t, 100), !inbound, &seen);
    assert_true(maps_incoming(f, source_port(t), t, ROOT));
    check_packet(f, syn_ack_of(&reply, 500, 101), true, &back);
    check_packet(f, ack_of(t, 101, 501), !inbound, &seen);
    check_packet(f, data_of(t, 101, 501, 3000), !inbound, &seen);
    check_packet(f, data_of(&reply, 501, 3101, 1000), true, &back);
    check_packet(f, fin_of(t, 3101, 1501), !inbound, &seen);
    check_packet(f, fin_of(&reply, 1501, 3102), true, &back);
    check_packet(f, ack_of(t, 3102, 1502), !inbound, &seen);
    assert_int_equal(f->world.flows_begun, f->world.flows_ended + 1);
    pass_time(f, FLOW_LINGER_FIN_MS);
    assert_true(maps_nothing(f, source_port(t)));
    assert_int_equal(f->world.flows_begun, f->world.flows_ended);
}

static void n2_from_another_machine_only_the_port_changes_and_every_packet_keeps_its_way(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "0.0.0.0", 80);
    opens(f, ROOT, "2001:db8::1", 80);
    struct tuple t4 = from_peer(f, "10.0.0.1", 80), t6 = from_peer(f, "2001:db8::1", 80);
    check_whole_connection(f, &t4, true);
    check_whole_connection(f, &t6, true);
    assert_int_equal(f->world.owner_asked, 0); /* a connection from outside has no owner here */
    assert_int_equal(COUNTER(f, packets_held), 0);
}

/* Who connects does not matter, as long as it is neither the agent nor the very process that listens (O8). */
static void n2_from_this_machine_only_the_port_changes_and_all_packets_stay_outbound(void **state)
{
    struct fixture *f = *state;
    static const char *const addresses[] = {"127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"};
    static const uint32_t pids[] = {STRANGER, CHILD, 4};
    opens(f, ROOT, "0.0.0.0", 80);
    opens(f, ROOT, "::", 80);
    f->loopback = true;
    for (int i = 0; i < 12; i++) {
        struct tuple t = tuple_of(addresses[i % 4], fresh_port(f), addresses[i % 4], 80);
        connects(f, pids[i / 4], &t);
        check_whole_connection(f, &t, false);
    }
}

static void n2_from_this_machine_a_syn_that_overtakes_its_event_is_held_and_then_led(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 80), want = at_port(&t, INCOMING_PORT);
    struct tuple u = tuple_of("127.0.0.1", 50001, "127.0.0.1", 80), want_u = at_port(&u, INCOMING_PORT);
    opens(f, ROOT, "127.0.0.1", 80);
    f->loopback = true;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects_late(f, STRANGER, &t);
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &want);
    assert_true(f->injected[0]->meta.outbound);
    assert_true(maps_incoming(f, 50000, &t, ROOT) && f->mapped_when_injected[0]);

    f->world.owner = STRANGER; /* the event is lost, and the table knows */
    assert_int_equal(send_syn(f, &u, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_int_equal(f->injected_count, 2);
    assert_tuple(f->injected[1], &want_u);
    assert_int_equal(f->world.owner_asked, 1);
}

static void n2_the_agents_own_connection_reaches_the_program_whatever_comes_first(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 80);
    opens(f, ROOT, "0.0.0.0", 80);
    f->loopback = true;
    connects(f, AGENT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_PASS);

    t.src_port = be16_from_host(50001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects_late(f, AGENT, &t);
    assert_true(injected_is(f, 0, syn_of(&t, 100)));

    t.src_port = be16_from_host(50002);
    f->world.owner = AGENT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_is(f, 1, syn_of(&t, 100)));

    t.src_port = be16_from_host(50003); /* it may be the agent's: then a redirection would be a loop */
    f->world.owner = 0;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_true(injected_is(f, 2, syn_of(&t, 100)));
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void n2_a_syn_again_is_the_same_flow_and_another_isn_is_another(void **state)
{
    struct fixture *f = *state;
    struct tuple t = from_peer(f, "10.0.0.1", 80);
    opens(f, ROOT, "0.0.0.0", 80);
    taken_in(f, &t, 100);
    taken_in(f, &t, 100);
    assert_int_equal(f->world.flows_begun, 1);
    taken_in(f, &t, 7777);
    assert_int_equal(f->world.flows_begun, 2);
    assert_int_equal(f->world.flows_ended, 1);
    closes(f, ROOT, "0.0.0.0", 80);
    assert_int_equal(syn_arrives(f, &t, 8888), VERDICT_PASS); /* to nobody any more */
    assert_int_equal(f->world.flows_ended, 2);
}

/* To a port of the tree, but of connections that we never saw begin. */
static void o5_packets_of_unknown_connections_to_a_port_of_the_tree_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t = from_peer(f, "10.0.0.1", 80), back = tuple_reversed(&t);
    opens(f, ROOT, "0.0.0.0", 80);
    assert_int_equal(arrives(f, data_of(&t, 1, 1, 10)), VERDICT_PASS);
    assert_int_equal(send_segment(f, data_of(&back, 1, 1, 10)), VERDICT_PASS);
    assert_int_equal(arrives(f, fin_of(&t, 1, 1)), VERDICT_PASS);
    assert_int_equal(arrives(f, rst_of(&t, 1, 1)), VERDICT_PASS);
    assert_int_equal(arrives(f, syn_ack_of(&t, 1, 1)), VERDICT_PASS);
    assert_int_equal(arrives(f, (struct segment){.tuple = t, .flags = TCP_SYN | TCP_RST}), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

static void with_incoming_off_what_comes_in_passes(void **state)
{
    struct engine_config config = machine_config();
    config.incoming_port = 0;
    struct fixture *f = machine_renew(state, &config);
    opens(f, ROOT, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 80);
    f->loopback = true;
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

static void with_outgoing_off_only_connections_to_the_tree_are_led(void **state)
{
    struct engine_config config = machine_config();
    config.proxy_port = 0;
    struct fixture *f = machine_renew(state, &config);
    opens(f, ROOT, "0.0.0.0", 80);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    struct tuple out = tuple4();
    assert_int_equal(send_syn(f, &out, 100), VERDICT_PASS); /* nothing to wait for */
    out.src_port = be16_from_host(50001);
    connects(f, ROOT, &out);
    assert_int_equal(send_syn(f, &out, 100), VERDICT_PASS);
    f->loopback = true;
    struct tuple local = tuple_of("127.0.0.1", 50002, "127.0.0.1", 80), other = at_port(&local, 90);
    connects(f, CHILD, &local);
    assert_int_equal(send_syn(f, &local, 100), VERDICT_REWRITE);
    connects(f, CHILD, &other);
    assert_int_equal(send_syn(f, &other, 100), VERDICT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(n2_from_another_machine_only_the_port_changes_and_every_packet_keeps_its_way),
        WITH_MACHINE(n2_from_this_machine_only_the_port_changes_and_all_packets_stay_outbound),
        WITH_MACHINE(n2_from_this_machine_a_syn_that_overtakes_its_event_is_held_and_then_led),
        WITH_MACHINE(n2_the_agents_own_connection_reaches_the_program_whatever_comes_first),
        WITH_MACHINE(n2_a_syn_again_is_the_same_flow_and_another_isn_is_another),
        WITH_MACHINE(o5_packets_of_unknown_connections_to_a_port_of_the_tree_pass),
        WITH_MACHINE(with_incoming_off_what_comes_in_passes),
        WITH_MACHINE(with_outgoing_off_only_connections_to_the_tree_are_led),
    };
    return cmocka_run_group_tests_name("engine: incoming", tests, NULL, NULL);
}
