/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Incoming connections beside others: what the proxy is told of each (N3), a proxy that is missing for some (N4), and
 * the end of all of them at stop (S2).
 */
#include "machine.h"

static const char *const PEER = "203.0.113.9", *const OTHER_PEER = "198.51.100.7", *const PEER6 = "2001:db8:5::9";

/* The tree's server: port 80 on all addresses of both families. */
static void serve(struct fixture *f)
{
    opens(f, ROOT, "0.0.0.0", 80);
    opens(f, ROOT, "::", 80);
}

static struct tuple to_server(const char *peer, uint16_t port)
{
    uint32_t family;
    address_of(peer, &family);
    return tuple_of(peer, port, family == FAMILY_IP4 ? "10.0.0.1" : "2001:db8::1", 80);
}

/* The rest of the handshake and some data: both ends get theirs, and not those of anybody else. */
static void check_runs(struct fixture *f, const struct tuple *t, const struct tuple *seen)
{
    struct tuple reply = tuple_reversed(seen), back = tuple_reversed(t);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
    assert_int_equal(arrives(f, data_of(t, 101, 501, 100)), VERDICT_REWRITE);
    assert_tuple(&f->last, seen);
    assert_int_equal(send_segment(f, data_of(&reply, 501, 201, 100)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
}

static void n3_the_peers_port_tells_the_programs_address_port_and_process(void **state)
{
    struct fixture *f = *state;
    struct tuple t4 = to_server(PEER, 50000), t6 = to_server(PEER6, 50001);
    serve(f);
    opens(f, CHILD, "10.0.0.1", 81);
    struct tuple child = tuple_of(PEER, 50002, "10.0.0.1", 81);
    taken_in(f, &t4, 100);
    taken_in(f, &t6, 200);
    taken_in(f, &child, 300);
    assert_true(maps_incoming(f, 50000, &t4, ROOT));
    assert_true(maps_incoming(f, 50001, &t6, ROOT));
    assert_true(maps_incoming(f, 50002, &child, CHILD));
}

static void n3_peers_with_the_same_source_port_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct tuple t[] = {to_server(PEER, 50000), to_server(OTHER_PEER, 50000), to_server(PEER6, 50000)}, seen[3];
    serve(f);
    for (int i = 0; i < 3; i++) {
        seen[i] = taken_in(f, &t[i], 100);
        assert_true(maps_incoming(f, source_port(&seen[i]), &t[i], ROOT));
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(source_port(&seen[i]), source_port(&seen[k]));
        }
    }
    assert_int_equal(source_port(&seen[0]), 50000); /* the later one's is translated */
    for (int i = 0; i < 3; i++) {
        check_runs(f, &t[i], &seen[i]);
        assert_true(maps_incoming(f, source_port(&seen[i]), &t[i], ROOT));
    }
}

/* One peer, one port of his, two servers of the tree. */
static void n3_one_peer_with_the_same_port_to_two_servers_is_two_flows(void **state)
{
    struct fixture *f = *state;
    struct tuple a = to_server(PEER, 50000), b = at_port(&a, 81);
    serve(f);
    opens(f, CHILD, "0.0.0.0", 81);
    struct tuple seen_a = taken_in(f, &a, 100), seen_b = taken_in(f, &b, 200);
    assert_true(maps_incoming(f, source_port(&seen_a), &a, ROOT));
    assert_true(maps_incoming(f, source_port(&seen_b), &b, CHILD));
    check_runs(f, &a, &seen_a);
    check_runs(f, &b, &seen_b);
}

static void n3_o3_incoming_and_outgoing_with_the_same_port_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct tuple out = tuple4(), in = to_server(PEER, 50000), out6 = tuple6(), in6 = to_server(PEER6, 50009);
    serve(f);
    established(f, &out);
    struct tuple seen = taken_in(f, &in, 100);
    assert_int_not_equal(source_port(&seen), 50000);
    assert_true(maps(f, 50000, &out, ROOT));
    assert_true(maps_incoming(f, source_port(&seen), &in, ROOT));
    check_runs(f, &in, &seen);
    assert_int_equal(send_segment(f, data_of(&out, 101, 501, 10)), VERDICT_REWRITE);

    struct tuple seen6 = taken_in(f, &in6, 100); /* and the other way round */
    out6.src_port = be16_from_host(50009);
    struct tuple steered6 = redirected(f, ROOT, &out6, 100);
    assert_int_not_equal(source_port(&steered6), 50009);
    assert_true(maps_incoming(f, 50009, &in6, ROOT));
    assert_true(maps(f, source_port(&steered6), &out6, ROOT));
    check_runs(f, &in6, &seen6);
}

/* A peer that comes to the proxy's port by himself: nobody's flow, and its port must not be taken for one's. */
static void n3_o3_a_direct_connection_from_outside_to_the_proxy_shares_no_port_and_has_no_mapping(void **state)
{
    struct fixture *f = *state;
    struct tuple in = to_server(PEER, 50000), direct = at_port(&in, INCOMING_PORT), back = tuple_reversed(&direct);
    serve(f);
    struct tuple seen = taken_in(f, &in, 100);
    arrives(f, syn_of(&direct, 900));
    struct tuple seen_direct = tuple_in(&f->last), reply = tuple_reversed(&seen_direct);
    assert_int_not_equal(source_port(&seen_direct), 50000);
    assert_true(maps_nothing(f, source_port(&seen_direct)));
    send_segment(f, syn_ack_of(&reply, 1, 901));
    assert_tuple(&f->last, &back);
    check_runs(f, &in, &seen);

    struct tuple early = at_port(&in, INCOMING_PORT), late = to_server(PEER, 50007); /* the direct one is first */
    early.src_port = late.src_port;
    assert_int_equal(arrives(f, syn_of(&early, 900)), VERDICT_PASS);
    struct tuple seen_late = taken_in(f, &late, 100);
    assert_int_not_equal(source_port(&seen_late), 50007);
    assert_true(maps_nothing(f, 50007));
    assert_int_equal(arrives(f, ack_of(&early, 901, 2)), VERDICT_PASS);
}

static void n3_l2_a_mapping_ends_with_its_flow_or_when_deleted_and_takes_no_other_along(void **state)
{
    struct fixture *f = *state;
    struct tuple a = to_server(PEER, 50000), b = to_server(OTHER_PEER, 50000);
    serve(f);
    struct tuple seen_a = taken_in(f, &a, 100), seen_b = taken_in(f, &b, 100);
    assert_int_equal(arrives(f, rst_of(&a, 101, 501)), VERDICT_REWRITE);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_true(maps_nothing(f, source_port(&seen_a)));
    assert_true(maps_incoming(f, source_port(&seen_b), &b, ROOT));
    assert_true(destinations_delete(engine_destinations(f->world.engine), source_port(&seen_b), NULL, NULL));
    check_runs(f, &b, &seen_b);
    assert_true(maps_nothing(f, source_port(&seen_b)));
}

static void l3_beyond_the_bound_connections_to_the_tree_pass(void **state)
{
    struct engine_config config = machine_config();
    config.max_flows = 1;
    struct fixture *f = machine_renew(state, &config);
    struct tuple a = to_server(PEER, 50000), b = to_server(PEER, 50001);
    serve(f);
    taken_in(f, &a, 100);
    assert_int_equal(syn_arrives(f, &b, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flow_table_full), 1);
    assert_true(maps_nothing(f, 50001));
}

/* ---- N4 ---- */

/* The proxy for incoming connections listens only there; whether a connection to `local` finds it. */
static bool finds_proxy_on(void **state, const char *proxy, const char *peer, const char *local)
{
    struct engine_config config = machine_config();
    struct fixture *f = machine_renew_bare(state, &config);
    struct tuple t = tuple_of(peer, 50000, local, 80);
    opens(f, AGENT, proxy, INCOMING_PORT);
    serve(f);
    bool led = syn_arrives(f, &t, 100) == VERDICT_REWRITE;
    assert_int_equal(maps_nothing(f, 50000), !led);
    assert_int_equal(f->world.warned, !led);
    assert_int_equal(COUNTER(f, proxy_not_listening), !led);
    return led;
}

static void n4_a_peer_from_another_machine_needs_a_proxy_on_that_address_or_on_all(void **state)
{
    assert_true(finds_proxy_on(state, "0.0.0.0", PEER, "10.0.0.1"));
    assert_true(finds_proxy_on(state, "10.0.0.1", PEER, "10.0.0.1"));
    assert_false(finds_proxy_on(state, "127.0.0.1", PEER, "10.0.0.1"));
    assert_false(finds_proxy_on(state, "10.0.0.2", PEER, "10.0.0.1"));
    assert_true(finds_proxy_on(state, "2001:db8::1", PEER6, "2001:db8::1"));
    assert_false(finds_proxy_on(state, "2001:db8::2", PEER6, "2001:db8::1"));
    assert_false(finds_proxy_on(state, "::1", PEER6, "2001:db8::1"));
}

static void n4_a_proxy_of_one_family_is_none_for_the_other(void **state)
{
    assert_false(finds_proxy_on(state, "0.0.0.0", PEER6, "2001:db8::1"));
    assert_true(finds_proxy_on(state, "::", PEER6, "2001:db8::1"));
    assert_true(finds_proxy_on(state, "::", PEER, "10.0.0.1")); /* dual-stack */
    assert_false(finds_proxy_on(state, "2001:db8::1", PEER, "10.0.0.1"));
}

static void n4_refused_instead_if_so_configured(void **state)
{
    struct engine_config config = machine_config();
    config.fail_closed = true;
    struct fixture *f = machine_renew_bare(state, &config);
    struct tuple t = to_server(PEER, 50000), back = tuple_reversed(&t);
    serve(f);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_DROP);
    assert_int_equal(f->injected_count, 1);
    const struct made *rst = f->injected[0];
    assert_tuple(rst, &back);
    assert_int_equal(rst->bytes[rst->tcp_offset + 13], TCP_RST | TCP_ACK);
    assert_int_equal(wire32(rst->bytes + rst->tcp_offset + 8), 101);
    assert_true(ip_checksum_right(rst) && tcp_checksum_right(rst));
    assert_true(rst->meta.outbound); /* out to the peer */
}

/*
 * The program has answered, or will: were the same SYN led to the proxy now, two would answer it, and the peer's
 * next packet would reach the wrong one.
 */
static void n4_what_passed_for_want_of_a_proxy_is_not_caught_in_mid_handshake(void **state)
{
    struct engine_config config = machine_config();
    struct fixture *f = machine_renew_bare(state, &config);
    struct tuple t = to_server(PEER, 50000), back = tuple_reversed(&t), next = to_server(PEER, 50001);
    serve(f);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS);
    opens(f, AGENT, "0.0.0.0", INCOMING_PORT);
    pass_time(f, 1000);
    assert_int_equal(send_segment(f, syn_ack_of(&back, 900, 101)), VERDICT_PASS);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_PASS); /* the answer was lost on its way */
    assert_int_equal(arrives(f, ack_of(&t, 101, 901)), VERDICT_PASS);
    taken_in(f, &next, 100);
}

static void n4_both_outgoing_of_the_tree_and_incoming_to_it_is_incoming(void **state)
{
    struct fixture *f = *state;
    serve(f);
    f->loopback = true;
    struct tuple t = tuple_of("10.0.0.1", 50000, "10.0.0.1", 80), want = at_port(&t, INCOMING_PORT);
    connects(f, CHILD, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    assert_tuple(&f->last, &want);
    assert_true(maps_incoming(f, 50000, &t, ROOT)); /* whose socket listens */

    struct tuple other = tuple_of("10.0.0.1", 50001, "10.0.0.1", 90); /* a stranger's port: outgoing */
    opens(f, STRANGER, "10.0.0.1", 90);
    connects(f, CHILD, &other);
    assert_int_equal(send_syn(f, &other, 100), VERDICT_REWRITE);
    assert_true(maps(f, 50001, &other, CHILD));
}

/* The program listens on port 80; so do many others in the world. */
static void n2_the_same_port_number_on_another_machine_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct tuple theirs = tuple_of("10.0.0.1", 50000, PEER, 80), ours = tuple_of("10.0.0.1", 50001, PEER, 80);
    serve(f);
    connects(f, STRANGER, &theirs);
    assert_int_equal(send_syn(f, &theirs, 100), VERDICT_PASS);
    connects(f, ROOT, &ours);
    assert_int_equal(send_syn(f, &ours, 100), VERDICT_REWRITE);
    assert_true(maps(f, 50001, &ours, ROOT)); /* outgoing, not incoming */
}

/* The proxies listen on some addresses; the same port number on others is the program's to have. */
static void o1_n2_a_server_on_another_loopback_address_with_a_proxys_port_number_is_led(void **state)
{
    struct engine_config config = machine_config();
    struct fixture *f = machine_renew_bare(state, &config);
    opens(f, AGENT, "127.0.0.1", PROXY_PORT);
    opens(f, AGENT, "127.0.0.1", INCOMING_PORT);
    opens(f, STRANGER, "127.0.0.2", PROXY_PORT);
    opens(f, STRANGER, "127.0.0.2", INCOMING_PORT);
    f->loopback = true;
    for (uint16_t i = 0; i < 2; i++) {
        struct tuple t = tuple_of("127.0.0.1", 50000 + i, "127.0.0.2", i ? INCOMING_PORT : PROXY_PORT);
        connects(f, ROOT, &t);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
        assert_true(maps(f, 50000 + i, &t, ROOT));
    }
}

/* ---- S2 ---- */

static bool reset_was_sent(const struct fixture *f, const struct tuple *t, uint32_t expected, bool outbound)
{
    for (uint32_t i = 0; i < f->injected_count; i++) {
        const struct made *m = f->injected[i];
        struct tuple is = tuple_in(m);
        if (tuple_equal(&is, t) && m->bytes[m->tcp_offset + 13] & TCP_RST &&
            wire32(m->bytes + m->tcp_offset + 4) == expected) {
            return m->meta.outbound == outbound && (outbound || m->meta.if_index == 7) && ip_checksum_right(m) &&
                   tcp_checksum_right(m);
        }
    }
    return false;
}

static void s2_stop_resets_the_peer_and_the_proxy(void **state)
{
    struct fixture *f = *state;
    struct tuple remote = to_server(PEER, 50000), remote6 = to_server(PEER6, 50001);
    struct tuple local = tuple_of("127.0.0.1", 50002, "127.0.0.1", 80), seen_local = at_port(&local, INCOMING_PORT);
    serve(f);
    struct tuple seen = taken_in(f, &remote, 100), seen6 = taken_in(f, &remote6, 100);
    check_runs(f, &remote, &seen);
    check_runs(f, &remote6, &seen6);
    f->loopback = true;
    connects(f, STRANGER, &local);
    assert_int_equal(send_syn(f, &local, 100), VERDICT_REWRITE);
    hand_shake(f, &local, &seen_local);
    f->loopback = false;
    struct tuple back = tuple_reversed(&remote), back6 = tuple_reversed(&remote6), back_local = tuple_reversed(&local);
    engine_stop(f->world.engine, true, f->world.now);
    assert_true(reset_was_sent(f, &seen, 201, false)); /* the proxy's end is reached inbound, as everything of it */
    assert_true(reset_was_sent(f, &back, 501, true));
    assert_true(reset_was_sent(f, &seen6, 201, false));
    assert_true(reset_was_sent(f, &back6, 501, true));
    assert_true(reset_was_sent(f, &seen_local, 101, true));
    assert_true(reset_was_sent(f, &back_local, 501, true));
    assert_true(maps_nothing(f, 50000) && maps_nothing(f, 50001) && maps_nothing(f, 50002));
    assert_int_equal(f->world.flows_begun, f->world.flows_ended);

    assert_int_equal(arrives(f, data_of(&remote, 201, 4711, 10)), VERDICT_DROP);
    assert_true(reset_was_sent(f, &back, 4711, true));
    struct tuple fresh = to_server(PEER, 50005);
    assert_int_equal(syn_arrives(f, &fresh, 100), VERDICT_PASS); /* the program has its port to itself again */
    assert_int_equal(syn_arrives(f, &remote, 9999), VERDICT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(n3_the_peers_port_tells_the_programs_address_port_and_process),
        WITH_MACHINE(n3_peers_with_the_same_source_port_are_told_apart),
        WITH_MACHINE(n3_one_peer_with_the_same_port_to_two_servers_is_two_flows),
        WITH_MACHINE(n3_o3_incoming_and_outgoing_with_the_same_port_are_told_apart),
        WITH_MACHINE(n3_o3_a_direct_connection_from_outside_to_the_proxy_shares_no_port_and_has_no_mapping),
        WITH_MACHINE(n3_l2_a_mapping_ends_with_its_flow_or_when_deleted_and_takes_no_other_along),
        WITH_MACHINE(l3_beyond_the_bound_connections_to_the_tree_pass),
        WITH_MACHINE(n4_a_peer_from_another_machine_needs_a_proxy_on_that_address_or_on_all),
        WITH_MACHINE(n4_a_proxy_of_one_family_is_none_for_the_other),
        WITH_MACHINE(n4_refused_instead_if_so_configured),
        WITH_MACHINE(n4_what_passed_for_want_of_a_proxy_is_not_caught_in_mid_handshake),
        WITH_MACHINE(n4_both_outgoing_of_the_tree_and_incoming_to_it_is_incoming),
        WITH_MACHINE(n2_the_same_port_number_on_another_machine_is_left_alone),
        WITH_MACHINE(o1_n2_a_server_on_another_loopback_address_with_a_proxys_port_number_is_led),
        WITH_MACHINE(s2_stop_resets_the_peer_and_the_proxy),
    };
    return cmocka_run_group_tests_name("engine: peers", tests, NULL, NULL);
}
