/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Outgoing connections of the tree: where they are led, how their replies come back, and what the proxy is told
 * (O1, O3, O6).
 */
#include "engine_fixture.h"

static struct tuple to_proxy4(uint16_t port)
{
    return tuple_of("127.0.0.1", port, "127.0.0.1", PROXY_PORT);
}

static struct tuple to_proxy6(uint16_t port)
{
    return tuple_of("::1", port, "::1", PROXY_PORT);
}

/* A redirected connection, there and back. The reply is captured on another interface, as loopback packets are. */
static void check_redirected(struct fixture *f, const struct tuple *original, const struct tuple *steered)
{
    struct tuple is = redirected(f, ROOT, original, 100);
    assert_true(tuple_equal(&is, steered));
    assert_true(f->last.meta.outbound);
    assert_true(maps(f, source_port(steered), original, ROOT));

    struct segment s = data_of(steered, 500, 101, 1000);
    s.tuple = tuple_reversed(steered);
    make(&f->last, &s);
    f->last.meta.loopback = true;
    f->last.meta.if_index = 1;
    f->last.meta.sub_if_index = 0;
    assert_int_equal(send_packet(f, &f->last), VERDICT_REWRITE);
    struct tuple back = tuple_reversed(original);
    assert_tuple(&f->last, &back);
    assert_int_equal(f->last.meta.outbound, f->loopback); /* inbound, but where the connection never left the machine */
    assert_int_equal(f->last.meta.if_index, 7);           /* on the interface of the flow */
    assert_int_equal(f->last.meta.sub_if_index, 3);
    assert_int_equal(send_segment(f, data_of(original, 101, 1500, 100)), VERDICT_REWRITE);
    assert_tuple(&f->last, steered);
}

static void o1_o3_a_connection_of_the_tree_goes_to_the_proxy_over_loopback(void **state)
{
    struct tuple t4 = tuple4(), t6 = tuple6(), s4 = to_proxy4(50000), s6 = to_proxy6(50001);
    t6.src_port = be16_from_host(50001);
    check_redirected(*state, &t4, &s4);
    check_redirected(*state, &t6, &s6);
}

static void o1_loopback_destinations_are_redirected_and_replies_stay_outbound(void **state)
{
    struct fixture *f = *state;
    struct tuple a = tuple_of("127.0.0.1", 50000, "127.0.0.1", 3000), sa = to_proxy4(50000);
    struct tuple b = tuple_of("127.0.0.1", 50001, "127.8.9.10", 3000), sb = to_proxy4(50001);
    struct tuple c = tuple_of("::1", 50002, "::1", 3000), sc = to_proxy6(50002);
    f->loopback = true;
    check_redirected(f, &a, &sa);
    check_redirected(f, &b, &sb);
    check_redirected(f, &c, &sc);
}

static void o1_own_addresses_are_redirected_and_replies_stay_outbound(void **state)
{
    struct fixture *f = *state;
    struct tuple a = tuple_of("10.0.0.1", 50000, "10.0.0.1", 3000), sa = to_proxy4(50000);
    struct tuple b = tuple_of("2001:db8::1", 50001, "2001:db8::1", 3000), sb = to_proxy6(50001);
    f->loopback = true;
    check_redirected(f, &a, &sa);
    check_redirected(f, &b, &sb);
}

static void o1_every_port_of_a_foreign_machine_is_redirected_the_proxys_number_too(void **state)
{
    struct tuple t = tuple_of("10.0.0.1", 50000, "93.184.216.34", PROXY_PORT), s = to_proxy4(50000);
    check_redirected(*state, &t, &s);
}

static void o3_a_mapped_ip6_connection_stays_ip6(void **state)
{
    struct tuple t = tuple_of("::ffff:10.0.0.1", 50000, "::ffff:93.184.216.34", 443), s = to_proxy6(50000);
    check_redirected(*state, &t, &s);
}

/* send_packet() checks the sums. */
static void o6_sums_are_right_for_every_combination_of_flags(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 16; i++) {
        struct tuple t = i & 4 ? tuple6() : tuple4();
        t.src_port = be16_from_host((uint16_t)(40000 + i));
        struct tuple steered = redirected(f, ROOT, &t, 100), reply = tuple_reversed(&steered);
        struct segment s = i & 8 ? data_of(&t, 101, 501, 333) : data_of(&reply, 501, 101, 333);
        make(&f->last, &s);
        f->last.meta.ip_checksum_valid = i & 1;
        f->last.meta.transport_checksum_valid = i >> 1 & 1;
        if (!f->last.meta.ip_checksum_valid && !(i & 4)) {
            put16(f->last.bytes + 10, 0);
        }
        if (!f->last.meta.transport_checksum_valid) {
            put16(f->last.bytes + f->last.tcp_offset + 16, 0x1111); /* a partial sum, say */
        }
        f->last.meta.impostor = i & 1;
        assert_int_equal(send_packet(f, &f->last), VERDICT_REWRITE);
    }
}

static void o6_the_largest_packets_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple t4 = tuple4(), t6 = tuple6();
    t6.src_port = be16_from_host(50001);
    redirected(f, ROOT, &t4, 100);
    redirected(f, ROOT, &t6, 100);
    assert_int_equal(send_segment(f, data_of(&t4, 101, 501, 65535 - 40)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, data_of(&t6, 101, 501, 65535 - 20)), VERDICT_REWRITE);
}

static void o6_data_on_the_syn_is_kept(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    struct segment s = syn_of(&t, 100);
    s.payload = 1200;
    connects(f, ROOT, &t);
    assert_int_equal(send_segment(f, s), VERDICT_REWRITE); /* send_packet() compares the payload */
}

static void o3_one_source_port_means_one_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple originals[] = {
        tuple_of("10.0.0.1", 50000, "93.184.216.34", 443),
        tuple_of("10.0.0.2", 50000, "93.184.216.34", 443), /* another local address */
        tuple_of("2001:db8::1", 50000, "2001:db8::2", 80), /* another family */
        tuple_of("2001:db8::9", 50000, "2001:db8::2", 81),
        tuple_of("10.0.0.1", 50000, "93.184.216.35", 444), /* the same local end, another peer */
    };
    enum { N = sizeof originals / sizeof *originals };
    struct tuple steered[N];
    for (int i = 0; i < N; i++) {
        steered[i] = redirected(f, i % 2 ? CHILD : ROOT, &originals[i], 100 + (uint32_t)i);
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(source_port(&steered[i]), source_port(&steered[k]));
        }
    }
    assert_int_equal(source_port(&steered[0]), 50000);
    for (int i = 0; i < N; i++) {
        assert_true(maps(f, source_port(&steered[i]), &originals[i], i % 2 ? CHILD : ROOT));
        assert_int_equal(send_segment(f, data_of(&originals[i], 101, 501, 10)), VERDICT_REWRITE);
        assert_tuple(&f->last, &steered[i]);
        struct tuple reply = tuple_reversed(&steered[i]), back = tuple_reversed(&originals[i]);
        assert_int_equal(send_segment(f, data_of(&reply, 501, 111, 10)), VERDICT_REWRITE);
        assert_tuple(&f->last, &back); /* the program's own port again, substituted or not */
    }
}

static void o3_the_peer_that_the_proxy_sees_is_in_the_mapping(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6(), s = redirected(f, ROOT, &t, 100);
    struct destination d;
    assert_true(destinations_find(engine_destinations(f->world.engine), source_port(&s), &d));
    assert_true(ip_addr_equal(&d.peer, &s.src));
}

static struct fixture *new_reflecting(void **state)
{
    struct engine_config config = fixture_config();
    config.reflect = true;
    return fixture_renew(state, &config);
}

static void o3_reflect_swaps_the_addresses_and_injects_inbound(void **state)
{
    struct fixture *f = new_reflecting(state);
    struct tuple originals[] = {tuple4(), tuple6()};
    originals[1].src_port = be16_from_host(50001);
    for (int i = 0; i < 2; i++) {
        struct tuple steered = redirected(f, ROOT, &originals[i], 100), back = tuple_reversed(&originals[i]);
        assert_true(ip_addr_equal(&steered.src, &originals[i].dst));
        assert_true(ip_addr_equal(&steered.dst, &originals[i].src));
        assert_int_equal(steered.src_port.wire, originals[i].src_port.wire);
        assert_int_equal(be16_to_host(steered.dst_port), PROXY_PORT);
        assert_false(f->last.meta.outbound);
        assert_int_equal(f->last.meta.if_index, 7);
        assert_true(maps(f, source_port(&steered), &originals[i], ROOT));

        struct tuple reply = tuple_reversed(&steered); /* the proxy's answer is captured on its way out */
        assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
        assert_tuple(&f->last, &back);
        assert_false(f->last.meta.outbound);
        assert_int_equal(f->last.meta.if_index, 7);
        assert_int_equal(f->last.meta.sub_if_index, 3);
    }
}

/* Inbound injection towards a loopback connection is lost: those are steered over loopback even so. */
static void o3_reflect_leaves_connections_within_the_machine_on_loopback(void **state)
{
    struct fixture *f = new_reflecting(state);
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 3000), s = to_proxy4(50000);
    struct tuple own = tuple_of("10.0.0.1", 50001, "10.0.0.1", 3000), sown = to_proxy4(50001);
    f->loopback = true;
    check_redirected(f, &t, &s);
    check_redirected(f, &own, &sown);
}

static void o3_reflected_flows_have_their_source_ports_to_themselves_too(void **state)
{
    struct fixture *f = new_reflecting(state);
    struct tuple a = tuple_of("10.0.0.1", 50000, "93.184.216.34", 443), b = a;
    b.dst.bytes[15] ^= 1;
    struct tuple sa = redirected(f, ROOT, &a, 100), sb = redirected(f, ROOT, &b, 100);
    assert_int_not_equal(source_port(&sa), source_port(&sb));
    assert_true(maps(f, source_port(&sa), &a, ROOT) && maps(f, source_port(&sb), &b, ROOT));
}

static void with_outgoing_off_everything_passes(void **state)
{
    struct engine_config config = fixture_config();
    config.proxy_port = 0;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple4();
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o1_o3_a_connection_of_the_tree_goes_to_the_proxy_over_loopback),
        WITH_ENGINE(o1_loopback_destinations_are_redirected_and_replies_stay_outbound),
        WITH_ENGINE(o1_own_addresses_are_redirected_and_replies_stay_outbound),
        WITH_ENGINE(o1_every_port_of_a_foreign_machine_is_redirected_the_proxys_number_too),
        WITH_ENGINE(o3_a_mapped_ip6_connection_stays_ip6),
        WITH_ENGINE(o6_sums_are_right_for_every_combination_of_flags),
        WITH_ENGINE(o6_the_largest_packets_pass),
        WITH_ENGINE(o6_data_on_the_syn_is_kept),
        WITH_ENGINE(o3_one_source_port_means_one_flow),
        WITH_ENGINE(o3_the_peer_that_the_proxy_sees_is_in_the_mapping),
        WITH_ENGINE(o3_reflect_swaps_the_addresses_and_injects_inbound),
        WITH_ENGINE(o3_reflect_leaves_connections_within_the_machine_on_loopback),
        WITH_ENGINE(o3_reflected_flows_have_their_source_ports_to_themselves_too),
        WITH_ENGINE(with_outgoing_off_everything_passes),
    };
    return cmocka_run_group_tests_name("engine: outgoing", tests, NULL, NULL);
}
