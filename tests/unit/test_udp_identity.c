/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* U2: whose datagrams they are, by events, by the UDP table, by neither; ports that several sockets have. */
#include "udp_fixture.h"

static void assert_leaves(struct udp_fixture *f, uint32_t count, bool redirected)
{
    assert_int_equal(f->kept_count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct tuple t = udp_tuple_in(f->kept[i]);
        assert_int_equal(be16_to_host(t.dst_port) == UDP_PORT, redirected);
    }
    forget_kept(f);
}

static void u2_bound_before(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple four = udp4(), six = udp6();
    binds(f, CHILD, "0.0.0.0", 50000, 3);
    assert_int_equal(send_udp(f, &four), VERDICT_REWRITE);
    struct tuple steered = udp_tuple_in(&f->last);
    assert_true(udp_maps(f, &steered, &four, CHILD));
    assert_int_equal(send_udp(f, &six), VERDICT_HOLD); /* bound in the other family alone */
    binds(f, CHILD, "::", 50000, 4);
    assert_leaves(f, 1, true);
}

static void u2_dual_stack_counts_last(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), other = tuple_of("10.0.0.2", 50000, "93.184.216.34", 443);
    binds(f, ROOT, "::", 50000, 3);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
    binds(f, STRANGER, "10.0.0.2", 50000, 4); /* the exact address before any wildcard */
    assert_int_equal(send_udp(f, &other), VERDICT_PASS);
    binds(f, STRANGER, "0.0.0.0", 50000, 5);
    t.dst_port = be16_from_host(444);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
}

static void u2_dual_stack_of_the_table(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    in_table(f, ROOT, "::", 50000);
    udp_time(f, 30000);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
}

static void u2_shared_port(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), of_stranger = t;
    in_table(f, ROOT, "0.0.0.0", 50000);
    in_table(f, STRANGER, "0.0.0.0", 50000);
    udp_time(f, 30000);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD); /* either may have sent it */
    sends_to(f, ROOT, &t, 3);
    assert_leaves(f, 1, true);
    of_stranger.dst_port = be16_from_host(444);
    sends_to(f, STRANGER, &of_stranger, 4);
    assert_int_equal(send_udp(f, &of_stranger), VERDICT_PASS);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
}

static void u2_shared_by_strangers(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    in_table(f, AGENT, "0.0.0.0", 50000);
    in_table(f, STRANGER, "0.0.0.0", 50000);
    udp_time(f, 30000);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS); /* whoever it was */
}

static void u2_held_until_the_event(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(send_udp_of(f, &t, i), VERDICT_HOLD);
    }
    sends_to(f, ROOT, &t, 3);
    assert_int_equal(f->kept_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(f->kept[i]->length, 28 + i); /* in order */
    }
    assert_leaves(f, 5, true);
    assert_int_equal(UDP_COUNTER(f, udp_packets_held), 5);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
}

static void u2_held_until_a_strangers_event(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    sends_to(f, STRANGER, &t, 3);
    assert_leaves(f, 1, false);
    assert_int_equal(UDP_COUNTER(f, udp_hold_timeouts), 0);
}

static void u2_table_at_half_of_the_time(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    uint32_t asked = f->world.udp.asked;
    in_table(f, ROOT, "10.0.0.1", 50000);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    assert_int_equal(engine_next_tick_ms(engine_of(f), f->world.now), HOLD_MS / 2);
    udp_time(f, HOLD_MS / 2 - 1);
    assert_int_equal(f->world.udp.asked, asked);
    udp_time(f, 1);
    assert_int_equal(f->world.udp.asked, asked + 1);
    assert_leaves(f, 1, true);
}

static void u2_deadline(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    udp_time(f, HOLD_MS / 2);
    assert_int_equal(engine_next_tick_ms(engine_of(f), f->world.now), HOLD_MS / 2);
    udp_time(f, HOLD_MS / 2 - 1);
    assert_int_equal(f->kept_count, 0);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD); /* no overtaking */
    udp_time(f, 1);
    assert_leaves(f, 2, false);
    assert_int_equal(UDP_COUNTER(f, udp_hold_timeouts), 2);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS); /* not asked about at each one */
    udp_time(f, 1000);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    sends_to(f, ROOT, &t, 3);
    assert_leaves(f, 1, true);
}

/* The table is handed in slice by slice, and datagrams come between them. */
static void u2_no_overtaking_while_the_table_is_read(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), row = bound_at("0.0.0.0", 50000);
    f->world.slow = true;
    assert_int_equal(send_udp_of(f, &t, 1), VERDICT_HOLD);
    udp_time(f, HOLD_MS / 2);
    in_table(f, ROOT, "0.0.0.0", 50000);
    engine_udp_socket(engine_of(f), &row, ROOT);
    assert_int_equal(send_udp_of(f, &t, 2), VERDICT_HOLD); /* known by now, but there is one before it */
    assert_true(world_udp_table_answers(&f->world));
    assert_int_equal(f->kept_count, 2);
    assert_int_equal(f->kept[0]->length, 29);
    assert_int_equal(f->kept[1]->length, 30);
    assert_leaves(f, 2, true);
}

static void u2_too_many_and_too_large(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), large = t;
    for (uint32_t i = 0; i < UDP_HELD_DATAGRAMS; i++) {
        assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    }
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_leaves(f, UDP_HELD_DATAGRAMS, false); /* before it */
    assert_int_equal(UDP_COUNTER(f, udp_hold_overflows), 1);
    large.src_port = be16_from_host(50001);
    assert_int_equal(send_udp(f, &large), VERDICT_HOLD);
    assert_int_equal(send_udp_of(f, &large, UDP_HELD_BYTES), VERDICT_PASS);
    assert_leaves(f, 1, false);
    assert_int_equal(UDP_COUNTER(f, udp_hold_overflows), 2);
}

static void u2_all_slots_taken(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    for (uint32_t i = 0; i < UDP_HELD_SLOTS; i++) {
        t.src_port = be16_from_host((uint16_t)(20000 + i));
        assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    }
    t.src_port = be16_from_host(30000);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    udp_time(f, HOLD_MS);
    assert_leaves(f, UDP_HELD_SLOTS, false);
    t.src_port = be16_from_host(30001);
    assert_int_equal(send_udp(f, &t), VERDICT_HOLD);
    udp_time(f, HOLD_MS);
}

/* All events of a wake-up come before its packets. */
static void u2_sends_once_and_closes(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), stranger = t;
    stranger.src_port = be16_from_host(50001);
    binds(f, ROOT, "0.0.0.0", 50000, 3);
    sends_to(f, ROOT, &t, 3);
    make_udp(&f->last, &t, 100, 0);
    f->last.meta.timestamp = ++f->world.clock;
    closes(f, ROOT, "0.0.0.0", 50000, 3);
    closes(f, ROOT, "0.0.0.0", 50000, 3); /* told twice */
    assert_int_equal(send_made(f, &f->last), VERDICT_REWRITE);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE); /* of the flow that has begun */
    binds(f, STRANGER, "0.0.0.0", 50001, 4);
    sends_to(f, STRANGER, &stranger, 4);
    closes(f, STRANGER, "0.0.0.0", 50001, 4);
    int64_t clock = f->world.clock;
    make_udp(&f->last, &stranger, 100, 0);
    f->last.meta.timestamp = clock - 1;
    assert_int_equal(send_made(f, &f->last), VERDICT_PASS);
    assert_int_equal(send_udp(f, &stranger), VERDICT_PASS); /* later, and nobody else has its port */
    udp_time(f, 1000);
    assert_int_equal(send_udp(f, &stranger), VERDICT_HOLD); /* of whom, nobody knows */
    udp_time(f, HOLD_MS);
}

static void u2_close_ends_its_flows_alone(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple a = udp4(), b = a;
    b.dst_port = be16_from_host(444);
    sends_to(f, ROOT, &a, 3);
    sends_to(f, ROOT, &b, 4); /* two sockets on one port */
    assert_int_equal(send_udp(f, &a), VERDICT_REWRITE);
    struct tuple at_a = udp_tuple_in(&f->last);
    assert_int_equal(send_udp(f, &b), VERDICT_REWRITE);
    make_udp(&f->last, &a, 10, 0);
    f->last.meta.timestamp = ++f->world.clock;
    closes(f, ROOT, "0.0.0.0", 50000, 3);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 1);
    assert_true(udp_maps(f, &at_a, &a, ROOT));                 /* the proxy may ask for what it has yet to read */
    assert_int_equal(send_made(f, &f->last), VERDICT_REWRITE); /* sent before it was closed */
    struct tuple again = udp_tuple_in(&f->last);
    assert_true(tuple_equal(&again, &at_a));
    assert_int_equal(proxy_sends(f, &at_a), VERDICT_DROP); /* the port may be another's by now */
    binds(f, STRANGER, "0.0.0.0", 50000, 5);
    sends_to(f, STRANGER, &a, 5);
    assert_int_equal(send_udp(f, &a), VERDICT_PASS);
    assert_int_equal(send_udp(f, &b), VERDICT_REWRITE);
    udp_time(f, FLOW_LINGER_UDP_MS);
    assert_true(udp_maps_nothing(f, &at_a));
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 1);
}

static void u2_port_of_another_process_at_once(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4(), first = udp_redirected(f, ROOT, &t);
    sends_to(f, STRANGER, &t, 77); /* its CLOSE was lost */
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 0);
    sends_to(f, CHILD, &t, 78);
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
    struct tuple second = udp_tuple_in(&f->last);
    assert_int_not_equal(first.src_port.wire, second.src_port.wire); /* a port is one flow's */
    assert_true(udp_maps(f, &second, &t, CHILD));
    assert_true(udp_maps(f, &first, &t, ROOT));
}

static void u2_the_table_ends_what_events_do_not(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple a = udp4(), b = a;
    b.src_port = be16_from_host(50001);
    in_table(f, ROOT, "0.0.0.0", 50000);
    in_table(f, ROOT, "0.0.0.0", 50001);
    udp_redirected(f, ROOT, &a);
    udp_redirected(f, ROOT, &b);
    udp_time(f, 15000);
    send_udp(f, &a);
    send_udp(f, &b);
    udp_time(f, 15000);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 2);
    struct tuple gone = bound_at("0.0.0.0", 50000);
    world_row_remove(&f->world.udp, &gone);
    in_table(f, STRANGER, "0.0.0.0", 50000); /* no event told of it */
    udp_time(f, 15000);
    send_udp(f, &a);
    send_udp(f, &b);
    f->world.udp.fails = true;
    udp_time(f, 15000);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 2); /* half a table proves nothing */
    f->world.udp.fails = false;
    send_udp(f, &a);
    send_udp(f, &b);
    udp_time(f, 15000);
    send_udp(f, &b);
    udp_time(f, 15000);
    assert_int_equal(UDP_COUNTER(f, udp_flows_live), 1);
    assert_int_equal(send_udp(f, &a), VERDICT_PASS);
    assert_int_equal(send_udp(f, &b), VERDICT_REWRITE);
}

static void u2_joins_the_tree_later(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    binds(f, STRANGER, "0.0.0.0", 50000, 3);
    sends_to(f, STRANGER, &t, 3);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    engine_process(engine_of(f), (struct process_id){STRANGER, 400});
    assert_int_equal(send_udp(f, &t), VERDICT_REWRITE);
}

static void u2_receiver_of_the_proxys_port_is_spared(void **state)
{
    struct udp_fixture *f = *state;
    struct tuple t = udp4();
    closes(f, AGENT, "127.0.0.1", UDP_PORT, 0);
    closes(f, AGENT, "::1", UDP_PORT, 0);
    binds(f, CHILD, "127.0.0.1", UDP_PORT, 3); /* started again, by the tree */
    sends_to(f, CHILD, &t, 4);
    assert_int_equal(send_udp(f, &t), VERDICT_PASS);
    assert_int_equal(f->world.spared_pid, CHILD);
    t.src_port = be16_from_host(50001);
    udp_redirected(f, ROOT, &t);
}

/* What is told of a flow from a link-local address of this machine. */
static void assert_has_scope(struct udp_fixture *f, const char *to)
{
    uint32_t family;
    struct own_address own = {.family = FAMILY_IP6, .if_index = LAN};
    own.address = address_of("fe80::1", &family);
    engine_set_own_addresses(engine_of(f), own_addresses_new(&own, 1));
    struct tuple t = tuple_of("fe80::1", 50000, to, 443), steered = udp_redirected(f, ROOT, &t);
    struct destination d;
    assert_true(destinations_find(engine_udp_destinations(engine_of(f)), be16_to_host(steered.src_port), &d));
    assert_int_equal(d.scope, LAN);
    assert_int_equal(proxy_sends(f, &steered), VERDICT_REWRITE);
}

static void o3_link_local_keeps_its_scope(void **state)
{
    assert_has_scope(*state, "fe80::9");
}

/* O8: packets over loopback have none, but their addresses do. */
static void o8_link_local_over_loopback_has_the_scope_of_its_address(void **state)
{
    struct udp_fixture *f = *state;
    f->loopback = true;
    assert_has_scope(f, "fe80::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_UDP(u2_bound_before),
        WITH_UDP(u2_dual_stack_counts_last),
        WITH_UDP(u2_dual_stack_of_the_table),
        WITH_UDP(u2_shared_port),
        WITH_UDP(u2_shared_by_strangers),
        WITH_UDP(u2_held_until_the_event),
        WITH_UDP(u2_held_until_a_strangers_event),
        WITH_UDP(u2_table_at_half_of_the_time),
        WITH_UDP(u2_deadline),
        WITH_UDP(u2_no_overtaking_while_the_table_is_read),
        WITH_UDP(u2_too_many_and_too_large),
        WITH_UDP(u2_all_slots_taken),
        WITH_UDP(u2_sends_once_and_closes),
        WITH_UDP(u2_close_ends_its_flows_alone),
        WITH_UDP(u2_port_of_another_process_at_once),
        WITH_UDP(u2_the_table_ends_what_events_do_not),
        WITH_UDP(u2_joins_the_tree_later),
        WITH_UDP(u2_receiver_of_the_proxys_port_is_spared),
        WITH_UDP(o3_link_local_keeps_its_scope),
        WITH_UDP(o8_link_local_over_loopback_has_the_scope_of_its_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
