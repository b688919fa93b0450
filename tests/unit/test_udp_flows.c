/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U1: datagrams of the tree go to the proxy, each (socket, destination) from a port of its own, and answers come back. */
#include "udp_fixture.h"

static void assert_steered(const struct tuple *steered, uint32_t family, uint16_t port)
{
    ip_addr loopback = ip_addr_loopback(family);
    assert_int_equal(steered->family, family);
    assert_true(ip_addr_equal(&steered->src, &loopback));
    assert_true(ip_addr_equal(&steered->dst, &loopback));
    assert_int_equal(be16_to_host(steered->dst_port), UDP_PORT);
    assert_int_equal(be16_to_host(steered->src_port), port);
}

static void round_trip(struct udp_fixture *f, const struct tuple *t)
{
    struct tuple steered = udp_redirected(f, ROOT, t);
    assert_steered(&steered, t->family, 50000);
    assert_true(f->last.meta.outbound);
    assert_true(udp_maps(f, &steered, t, ROOT));
    assert_int_equal(proxy_sends(f, &steered), VERDICT_REWRITE);
    struct tuple answer = udp_tuple_in(&f->last), want = tuple_reversed(t);
    assert_true(tuple_equal(&answer, &want));
    assert_false(f->last.meta.outbound);
    assert_int_equal(f->last.meta.if_index, LAN);
    assert_int_equal(f->last.meta.sub_if_index, 3);
}

static void u1_there_and_back(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple four = udp4(), six = udp6();
    round_trip(f, &four);
    six.src_port = be16_from_host(50001);
    sends_to(f, ROOT, &six, 9);
    assert_int_equal(send_udp(f, &six), VERDICT_REWRITE);
    struct tuple steered = udp_tuple_in(&f->last);
    assert_steered(&steered, FAMILY_IP6, 50001);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 2);
    assert_int_equal(UDP_COUNTER(f, flows_live), 0);
    assert_int_equal(UDP_COUNTER(f, packets_seen), 0);
    assert_int_equal(f->world.flows_begun, 2);
}

static void u1_over_ip6(void **state)
{
    struct tuple six = udp6();
    round_trip(*state, &six);
}

static void u1_a_port_for_each_destination(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple a = udp4(), b = a, c = a;
    b.dst_port = be16_from_host(444);
    c.src = udp6().src, c.dst = udp6().dst, c.family = FAMILY_IP6;
    struct tuple at_a = udp_redirected(f, ROOT, &a), at_b = udp_redirected(f, ROOT, &b),
                 at_c = udp_redirected(f, CHILD, &c);
    assert_int_not_equal(at_a.src_port.wire, at_b.src_port.wire);
    assert_int_not_equal(at_a.src_port.wire, at_c.src_port.wire);
    assert_int_not_equal(at_b.src_port.wire, at_c.src_port.wire);
    assert_true(udp_maps(f, &at_a, &a, ROOT));
    assert_true(udp_maps(f, &at_b, &b, ROOT));
    assert_true(udp_maps(f, &at_c, &c, CHILD));
    assert_int_equal(proxy_sends(f, &at_b), VERDICT_REWRITE);
    struct tuple answer = udp_tuple_in(&f->last), want = tuple_reversed(&b);
    assert_true(tuple_equal(&answer, &want));
}

static void u1_within_the_machine(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 9000);
    binds(f, STRANGER, "127.0.0.1", 9000, 5);
    f->loopback = true;
    struct tuple steered = udp_redirected(f, ROOT, &t);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_REWRITE);
    assert_true(f->last.meta.outbound); /* loopback packets exist only outbound */
    struct tuple own = tuple_of("127.0.0.1", 50002, "127.0.0.1", 9001), agents = own;
    binds(f, ROOT, "0.0.0.0", 9001, 6);
    sends_to(f, ROOT, &own, 7);
    assert_int_equal(send_udp(f, &own), VERDICT_PASS);
    binds(f, AGENT, "127.0.0.1", 9002, 8);
    agents.dst_port = be16_from_host(9002);
    sends_to(f, ROOT, &agents, 7);
    assert_int_equal(send_udp(f, &agents), VERDICT_PASS);
}

static void u1_not_within_the_machine_if_so_configured(void **state)
{
    struct engine_config config = udp_config();
    config.no_loopback = true;
    struct udp_fixture *f = udp_renew(state, &config, WORLD_WITH_TABLES);
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 9000), out = udp4();
    f->loopback = true;
    sends_to(f, ROOT, &t, 7);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    f->loopback = false;
    udp_redirected(f, ROOT, &out);
}

static void u1_to_the_proxy_itself(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple direct = tuple_of("127.0.0.1", 50000, "127.0.0.1", UDP_PORT), back = tuple_reversed(&direct);
    f->loopback = true;
    assert_int_equal(send_udp(f, &direct), VERDICT_PASS);
    assert_int_equal(send_udp(f, &back), VERDICT_PASS);
    f->loopback = false;
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t); /* the same port: taken */
    assert_int_not_equal(be16_to_host(steered.src_port), 50000);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 1);
    struct tuple later = direct;
    later.src_port = steered.src_port; /* a flow's port: substituted */
    f->loopback = true;
    assert_int_equal(send_udp(f, &later), VERDICT_REWRITE);
    struct tuple seen = udp_tuple_in(&f->last), seen_back = tuple_reversed(&seen), later_back = tuple_reversed(&later);
    assert_int_not_equal(seen.src_port.wire, later.src_port.wire);
    assert_true(udp_maps_nothing(f, &seen));
    assert_int_equal(send_udp(f, &seen_back), VERDICT_REWRITE);
    struct tuple got = udp_tuple_in(&f->last);
    assert_true(tuple_equal(&got, &later_back));
}

static void u3_left_alone(void **state)
{
    static const char *const many[] = {"224.0.0.251", "239.255.255.250", "255.255.255.255", "10.0.0.255"};
    struct udp_fixture *f = *state;
    struct own_address own[] = {{.family = FAMILY_IP4, .if_index = LAN, .prefix_length = 24}};
    uint32_t family;
    own[0].address = address_of("10.0.0.1", &family);
    engine_set_own_addresses(engine_of(f), own_addresses_new(own, 1));
    binds(f, ROOT, "0.0.0.0", 50000, 3);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        struct tuple t = tuple_of("10.0.0.1", 50000, many[i], 5353);
        assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    }
    struct tuple group = tuple_of("fe80::1", 50000, "ff02::fb", 5353),
                 near = tuple_of("10.0.0.1", 50000, "10.0.1.255", 1);
    assert_int_equal(send_udp(f, &group), VERDICT_PASS);
    assert_int_equal(send_udp(f, &near), VERDICT_REWRITE); /* of another network: a host, as far as is known */
    static const uint32_t others[] = {AGENT, STRANGER, 4, 0};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct tuple t = udp4();
        t.src_port = be16_from_host((uint16_t)(51000 + i));
        sends_to(f, others[i], &t, 0);
        assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    }
    struct tuple forwarded = tuple_of("10.9.9.9", 50000, "93.184.216.34", 443);
    assert_int_equal(send_udp(f, &forwarded), VERDICT_REWRITE); /* bound to the wildcard: known */
    forwarded.src_port = be16_from_host(52000);
    assert_int_equal(send_udp(f, &forwarded), VERDICT_PASS);
}

static void u1_answers_to_those_who_came_first(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = tuple_of("10.0.0.1", 5000, "10.0.0.9", 6000), other = t;
    other.dst_port = be16_from_host(6001);
    binds(f, ROOT, "0.0.0.0", 5000, 3);
    udp_tell(f, SOCKET_ACCEPT, ROOT, &t, 3);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(send_udp(f, &other), VERDICT_REWRITE);
    udp_tell(f, SOCKET_ACCEPT, ROOT, &other, 3); /* an answer to what was redirected */
    assert_int_equal(send_udp(f, &other), VERDICT_REWRITE);
}

static void u4_sizes_and_sums(void **state)
{
    static const uint32_t sizes[] = {0, 1, 2, 1471, 1473, 9000, 65507};
    struct udp_fixture *f = *state;
    struct tuple four = udp4(), six = udp6();
    six.src_port = be16_from_host(50001);
    sends_to(f, ROOT, &four, 1);
    sends_to(f, ROOT, &six, 2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int flags = 0; flags < 8; flags++) {
            const struct tuple *t = flags & 4 ? &six : &four;
            make_udp(&f->last, t, sizes[i], i % 2 ? 8 : 0);
            f->last.meta.ip_checksum_valid = flags & 1;
            f->last.meta.transport_checksum_valid = flags >> 1 & 1;
            uint16_t sum = udp_sum(&f->last);
            if (sizes[i] == 65507 && i % 2 == 0 && !(flags & 4)) {
                assert_int_equal(f->last.length, 65535);
            }
            assert_int_equal(send_made(f, &f->last), VERDICT_REWRITE);
            if (!(flags & 2)) {
                assert_int_equal(udp_sum(&f->last), sum); /* the driver's to do */
            }
        }
    }
}

static void u4_no_sum_stays_none(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    sends_to(f, ROOT, &t, 1);
    make_udp(&f->last, &t, 10, 0);
    put16(f->last.bytes + f->last.tcp_offset + 6, 0);
    assert_int_equal(send_made(f, &f->last), VERDICT_REWRITE);
    assert_int_equal(udp_sum(&f->last), 0);
}

/* A payload for which the sum comes out as 0, before or after. */
static void u4_a_sum_of_zero_is_written_as_ones(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    bool met = false;
    sends_to(f, ROOT, &t, 1);
    for (uint32_t word = 0; word < 0x10000; word++) {
        make_udp(&f->last, &t, 2, 0);
        put16(f->last.bytes + f->last.tcp_offset + 8, word);
        seal_udp(&f->last);
        assert_int_equal(send_made(f, &f->last), VERDICT_REWRITE); /* compares with the reference */
        assert_int_not_equal(udp_sum(&f->last), 0);
        met = met || udp_sum(&f->last) == 0xffff;
    }
    assert_true(met);
}

static void u1_nobody_receives(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    f->world.udp.count = 0;
    in_table(f, ROOT, "0.0.0.0", 50000);
    udp_time(f, 30000);
    sends_to(f, ROOT, &t, 1);
    udp_time(f, 999);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(f->world.warned, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(f->world.warned, 1);
    assert_int_equal(UDP_COUNTER(f, udp_proxy_not_listening), 2);
    udp_time(f, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD); /* it may receive by now: the table is asked */
    in_table(f, AGENT, "127.0.0.1", UDP_PORT);
    world_settle(&f->world);
    assert_int_equal(f->kept_count, 1);
    struct tuple steered = udp_tuple_in(f->kept[0]);
    assert_steered(&steered, FAMILY_IP4, 50000);
    struct tuple six = udp6(); /* there still nobody does */
    six.src_port = be16_from_host(50001);
    sends_to(f, ROOT, &six, 2);
    assert_int_equal(send_udp(f, &six), VERDICT_PASS);
}

static void u1_nobody_receives_and_it_fails_closed(void **state)
{
    struct engine_config config = udp_config();
    config.fail_closed = true;
    struct udp_fixture *f = udp_renew(state, &config, WORLD_WITH_TABLES);
    struct tuple t = udp4();
    closes(f, AGENT, "127.0.0.1", UDP_PORT, 0);
    sends_to(f, ROOT, &t, 1);
    assert_int_equal(send_udp(f, &t), VERDICT_DROP);
    assert_int_equal(UDP_COUNTER(f, udp_packets_dropped), 1);
}

static void u1_listed(void **state)
{
    struct udp_fixture *f = *state;
    static struct flow_view views[FLOW_LIST_SLOTS];
    struct tuple t = udp4(), steered = udp_redirected(f, ROOT, &t);
    uint32_t count;
    proxy_sends(f, &steered);
    assert_int_equal(engine_list_udp_flows(engine_of(f), 0, views, &count), FLOW_NONE);
    assert_int_equal(count, 1);
    assert_true(tuple_equal(&views[0].original, &t));
    assert_int_equal(views[0].bytes[0], 100);
    assert_int_equal(views[0].bytes[1], 50);
    assert_int_equal(views[0].packets[0], 1);
    assert_int_equal(views[0].state, FLOW_OPEN);
    assert_int_equal(engine_list_flows(engine_of(f), 0, views, &count), FLOW_NONE);
    assert_int_equal(count, 0);
}

static void u5_nothing_of_it_without_a_port(void **state)
{
    struct engine_config config = udp_config();
    (void)state;
    config.udp_port = 0;
    struct world w = {.hooks = {.injected = NULL}};
    struct tuple t = udp4();
    static struct made m;
    assert_true(world_open(&w, &config, WORLD_WITH_TABLES));
    make_udp(&m, &t, 10, 0);
    struct socket_event event = {.kind = SOCKET_CONNECT, .protocol = PROTOCOL_UDP, .pid = ROOT, .tuple = t};
    engine_event(w.engine, &event, w.now);
    assert_null(engine_udp_capture_wanted(w.engine, w.now));
    assert_null(engine_udp_destinations(w.engine));
    assert_false(engine_udp_unreachable(w.engine, 50000));
    engine_tick(w.engine, w.now + 1);
    world_settle(&w);
    assert_int_equal(w.udp.asked, 0);
    engine_stop(w.engine, true, w.now);
    world_close(&w);
}

static void s2_stop(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), held = t, steered = udp_redirected(f, ROOT, &t);
    held.src_port = be16_from_host(50009);
    assert_int_equal(send_udp(f, &held), VERDICT_HOLD);
    engine_stop(engine_of(f), true, f->world.now);
    assert_int_equal(f->kept_count, 1);
    check_udp_balance(f);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 0);
    assert_true(udp_maps_nothing(f, &steered));
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(u1_there_and_back),
        WITH_UDP(u1_over_ip6),
        WITH_UDP(u1_a_port_for_each_destination),
        WITH_UDP(u1_within_the_machine),
        WITH_UDP(u1_not_within_the_machine_if_so_configured),
        WITH_UDP(u1_to_the_proxy_itself),
        WITH_UDP(u3_left_alone),
        WITH_UDP(u1_answers_to_those_who_came_first),
        WITH_UDP(u4_sizes_and_sums),
        WITH_UDP(u4_no_sum_stays_none),
        WITH_UDP(u4_a_sum_of_zero_is_written_as_ones),
        WITH_UDP(u1_nobody_receives),
        WITH_UDP(u1_nobody_receives_and_it_fails_closed),
        WITH_UDP(u1_listed),
        cmocka_unit_test(u5_nothing_of_it_without_a_port),
        WITH_UDP(s2_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
