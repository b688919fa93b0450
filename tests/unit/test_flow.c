/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The flow table by itself: life of a flow (L1), bounds (L3), and that one steered source port means one flow
 * (O3).
 */
#include "packets.h"

#include "engine/flow.h"

static struct flow_table table;

static int set_up(void **state)
{
    (void)state;
    return flow_table_init(&table, 64, 42) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    flow_table_free(&table);
    return 0;
}

/* Steers as the engine does for outgoing connections. */
static struct tuple steered_to(const struct tuple *original, uint16_t port)
{
    return original->family == FAMILY_IP4 ? tuple_of("127.0.0.1", port, "127.0.0.1", 8080)
                                          : tuple_of("::1", port, "::1", 8080);
}

static uint32_t open_flow(const struct tuple *original, uint64_t now)
{
    uint16_t port = flow_pick_port(&table, be16_to_host(original->src_port));
    assert_int_not_equal(port, 0);
    struct tuple steered = steered_to(original, port);
    return flow_open(&table, original, &steered, now);
}

static uint32_t open_any(uint16_t port, uint64_t now)
{
    struct tuple t = tuple_of("10.0.0.1", port, "93.184.216.34", 80);
    return open_flow(&t, now);
}

/* One packet of a flow. */
static void advance(uint32_t id, enum leg leg, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t payload,
                    uint64_t now)
{
    struct packet p = {.flags = flags, .seq = seq, .ack = ack, .payload = payload};
    flow_advance(&table, id, leg, &p, now);
}

static void hand_shake(uint32_t id, uint64_t now)
{
    advance(id, LEG_FORWARD, TCP_SYN, 100, 0, 0, now);
    advance(id, LEG_REPLY, TCP_SYN | TCP_ACK, 500, 101, 0, now);
    advance(id, LEG_FORWARD, TCP_ACK, 101, 501, 0, now);
}

/* Ends what is due, and says whether the flow is still there. */
static bool alive_at(uint32_t id, uint64_t now)
{
    for (uint32_t due; (due = flow_expired(&table, now)) != FLOW_NONE;) {
        flow_close(&table, due);
    }
    return flow_at(&table, id)->state != FLOW_FREE;
}

static void both_legs_are_found_and_translate_into_each_other(void **state)
{
    (void)state;
    struct tuple original = tuple_of("2001:db8::1", 50000, "2001:db8::2", 443), steered = steered_to(&original, 50000);
    struct tuple reply = tuple_reversed(&steered), back = tuple_reversed(&original);
    uint32_t id = open_flow(&original, 0);
    enum leg leg;
    assert_int_equal(flow_find(&table, &original, &leg), id);
    assert_int_equal(leg, LEG_FORWARD);
    struct tuple target = flow_target(&table, id, leg);
    assert_true(tuple_equal(&target, &steered));
    assert_int_equal(flow_find(&table, &reply, &leg), id);
    assert_int_equal(leg, LEG_REPLY);
    target = flow_target(&table, id, leg);
    assert_true(tuple_equal(&target, &back));
    assert_int_equal(flow_find(&table, &back, &leg), FLOW_NONE);
    assert_int_equal(flow_find(&table, &steered, &leg), FLOW_NONE);
    flow_close(&table, id);
    assert_int_equal(flow_find(&table, &original, &leg), FLOW_NONE);
    assert_int_equal(flow_find(&table, &reply, &leg), FLOW_NONE);
}

static void l1_an_unanswered_syn_ends_after_its_last_retransmission(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 1000);
    advance(id, LEG_FORWARD, TCP_SYN, 100, 0, 0, 1000);
    advance(id, LEG_FORWARD, TCP_SYN, 100, 0, 0, 4000);
    assert_true(alive_at(id, 4000 + FLOW_OPENING_MS - 1));
    assert_false(alive_at(id, 4000 + FLOW_OPENING_MS));
    assert_int_equal(table.live, 0);
}

static void l1_a_flow_never_ends_by_idleness(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    hand_shake(id, 0);
    assert_true(alive_at(id, 30ull * 24 * 3600 * 1000));
    assert_int_equal(flow_at(&table, id)->state, FLOW_OPEN);
}

static void l1_a_half_closed_connection_lives_on(void **state)
{
    (void)state;
    for (enum leg closer = LEG_FORWARD; closer <= LEG_REPLY; closer++) {
        uint32_t id = open_any((uint16_t)(50000 + closer), 0);
        hand_shake(id, 0);
        advance(id, closer, TCP_FIN | TCP_ACK, 200, 501, 0, 10);
        advance(id, closer, TCP_FIN | TCP_ACK, 200, 501, 0, 20); /* retransmitted: still one side only */
        assert_true(alive_at(id, 7ull * 24 * 3600 * 1000));
        advance(id, closer ^ 1, TCP_ACK, 600, 201, 1000, 8ull * 24 * 3600 * 1000);
        assert_true(alive_at(id, 9ull * 24 * 3600 * 1000));
    }
}

static void l1_both_fins_end_it_after_the_linger_time(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    hand_shake(id, 0);
    advance(id, LEG_FORWARD, TCP_FIN | TCP_ACK, 101, 501, 0, 10);
    advance(id, LEG_REPLY, TCP_FIN | TCP_ACK, 501, 102, 0, 5000);
    advance(id, LEG_FORWARD, TCP_ACK, 102, 502, 0, 5001);
    assert_int_equal(flow_at(&table, id)->state, FLOW_CLOSING);
    assert_true(alive_at(id, 5000 + FLOW_LINGER_FIN_MS - 1));
    assert_false(alive_at(id, 5000 + FLOW_LINGER_FIN_MS + 1));
}

static void l1_a_reset_ends_it_soon_from_either_side_and_in_any_state(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t id = open_any((uint16_t)(50000 + i), 0);
        if (i / 2 >= 1) {
            hand_shake(id, 0);
        }
        if (i / 2 >= 2) {
            advance(id, LEG_FORWARD, TCP_FIN | TCP_ACK, 101, 501, 0, 0);
            advance(id, LEG_REPLY, TCP_FIN | TCP_ACK, 501, 102, 0, 0);
        }
        advance(id, i % 2 ? LEG_REPLY : LEG_FORWARD, TCP_RST | TCP_ACK, 0, 101, 0, 50);
        assert_int_equal(flow_at(&table, id)->state, FLOW_CLOSING);
        assert_true(alive_at(id, 50 + FLOW_LINGER_RST_MS - 1));
        assert_false(alive_at(id, 50 + FLOW_LINGER_RST_MS));
    }
    assert_int_equal(table.live, 0);
}

static void flows_expire_in_order_of_their_deadlines_whatever_happened_between(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0020};
    uint64_t deadline[64] = {0}, now = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        now += rng_below(&r, 400);
        uint32_t i = rng_below(&r, 64);
        struct tuple t = tuple_of("10.0.0.1", (uint16_t)(2000 + i), "10.0.0.9", 80);
        enum leg leg;
        uint32_t id = flow_find(&table, &t, &leg);
        if (id == FLOW_NONE) {
            assert_true(deadline[i] <= now);
            open_flow(&t, now);
            deadline[i] = now + FLOW_OPENING_MS;
        } else if (rng_below(&r, 3) == 0 && flow_at(&table, id)->state != FLOW_CLOSING) {
            advance(id, LEG_REPLY, TCP_RST, 0, 0, 0, now);
            deadline[i] = now + FLOW_LINGER_RST_MS;
        } else if (rng_below(&r, 2) && flow_at(&table, id)->state == FLOW_OPENING) {
            advance(id, LEG_FORWARD, TCP_SYN, 100, 0, 0, now);
            deadline[i] = now + FLOW_OPENING_MS;
        }
        alive_at(0, now);
        for (i = 0; i < 64; i++) {
            t.src_port = be16_from_host((uint16_t)(2000 + i));
            assert_int_equal(flow_find(&table, &t, &leg) != FLOW_NONE, deadline[i] > now);
        }
    }
}

static void l3_beyond_its_capacity_no_flow_is_opened(void **state)
{
    (void)state;
    uint32_t first = open_any(1, 0);
    for (uint16_t i = 2; i <= 64; i++) {
        assert_int_not_equal(open_any(i, 0), FLOW_NONE);
    }
    assert_int_equal(table.live, 64);
    assert_int_equal(open_any(65, 0), FLOW_NONE);
    flow_close(&table, first);
    assert_int_not_equal(open_any(65, 0), FLOW_NONE);
    assert_int_equal(table.live, 64);
}

static void the_oldest_closing_flow_is_offered_to_make_room(void **state)
{
    (void)state;
    uint32_t a = open_any(1, 0), b = open_any(2, 0), c = open_any(3, 0);
    hand_shake(a, 0);
    hand_shake(b, 0);
    hand_shake(c, 0);
    assert_int_equal(flow_oldest_closing(&table), FLOW_NONE); /* never one that is in use */
    for (uint32_t *id = (uint32_t[]){b, a, FLOW_NONE}; *id != FLOW_NONE; id++) {
        advance(*id, LEG_FORWARD, TCP_FIN, 0, 0, 0, 10);
        advance(*id, LEG_REPLY, TCP_FIN, 0, 0, 0, 10);
    }
    assert_int_equal(flow_oldest_closing(&table), b);
    advance(c, LEG_REPLY, TCP_RST, 0, 0, 0, 20); /* a reset connection is the surest to be over */
    assert_int_equal(flow_oldest_closing(&table), c);
}

static void o3_a_taken_source_port_is_substituted(void **state)
{
    (void)state;
    struct tuple a = tuple_of("10.0.0.1", 50000, "93.184.216.34", 80),
                 b = tuple_of("10.0.0.2", 50000, "93.184.216.34", 80);
    struct tuple c = tuple_of("2001:db8::1", 50000, "2001:db8::2", 80);
    struct tuple *all[] = {&a, &b, &c};
    uint16_t ports[3];
    for (int i = 0; i < 3; i++) {
        uint32_t id = open_flow(all[i], 0);
        ports[i] = be16_to_host(flow_steered(&table, id).src_port);
        enum leg leg;
        assert_int_equal(flow_find(&table, all[i], &leg), id);
    }
    assert_int_equal(ports[0], 50000);
    assert_true(ports[1] != 50000 && ports[2] != 50000 && ports[1] != ports[2]);
    assert_true(ports[1] >= 1024 && ports[2] >= 1024); /* not a port that a service may use */
}

static void o3_a_port_is_free_again_when_its_flow_has_ended(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    assert_int_not_equal(flow_pick_port(&table, 50000), 50000);
    flow_close(&table, id);
    assert_int_equal(flow_pick_port(&table, 50000), 50000);
}

static void o3_port_zero_is_never_handed_out(void **state)
{
    (void)state;
    assert_int_not_equal(flow_pick_port(&table, 0), 0);
}

static void o3_ports_run_out_only_when_every_one_is_taken(void **state)
{
    (void)state;
    struct flow_table big;
    assert_true(flow_table_init(&big, 65536, 7));
    uint8_t taken[65536] = {0};
    for (uint32_t i = 1; i < 65536; i++) {
        /* The ports below 1024 only when they are asked for; all others by substitution for one and the same port. */
        uint16_t port = flow_pick_port(&big, i < 1024 ? (uint16_t)i : 50000);
        assert_int_not_equal(port, 0);
        assert_false(taken[port]);
        taken[port] = 1;
        uint8_t address[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
        struct tuple t = tuple_of("10.0.0.1", 50000, "93.184.216.34", 80), s = steered_to(&t, port);
        t.src = ip_addr_from_ip4(address);
        assert_int_not_equal(flow_open(&big, &t, &s, 0), FLOW_NONE);
    }
    assert_int_equal(flow_pick_port(&big, 50000), 0);
    flow_close(&big, 12345);
    assert_int_not_equal(flow_pick_port(&big, 50000), 0);
    flow_table_free(&big);
}

static void bytes_packets_and_numbers_are_noted_by_leg(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    hand_shake(id, 0);
    advance(id, LEG_FORWARD, TCP_ACK, 101, 501, 1000, 1);
    advance(id, LEG_FORWARD, TCP_ACK, 101, 501, 1000, 2); /* sent again: counts once, does not move the end */
    advance(id, LEG_FORWARD, TCP_ACK, 1001, 501, 300, 2); /* 200 new ones behind 100 old ones */
    advance(id, LEG_REPLY, TCP_ACK, 501, 1101, 70000, 3);
    const struct flow *f = flow_at(&table, id);
    assert_int_equal(f->bytes[LEG_FORWARD], 1200);
    assert_int_equal(f->bytes[LEG_REPLY], 70000);
    assert_int_equal(f->packets[LEG_FORWARD], 5);
    assert_int_equal(f->packets[LEG_REPLY], 2);
    assert_int_equal(f->next_seq[LEG_FORWARD], 1301);
    assert_int_equal(f->next_seq[LEG_REPLY], 70501);
    assert_int_equal(f->last_ack[LEG_FORWARD], 501);
    assert_int_equal(f->last_ack[LEG_REPLY], 1101);
}

static void s6_syn_and_fin_are_no_bytes_however_they_come(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    const struct flow *f = flow_at(&table, id);
    advance(id, LEG_FORWARD, TCP_SYN, 100, 0, 0, 0);
    advance(id, LEG_FORWARD, TCP_SYN | TCP_FIN, 100, 0, 0, 0); /* odd, but anybody can send it */
    assert_int_equal(f->bytes[LEG_FORWARD], 0);
    advance(id, LEG_REPLY, TCP_SYN | TCP_ACK, 500, 101, 0, 0);
    advance(id, LEG_REPLY, TCP_ACK | TCP_FIN, 501, 101, 10, 0);
    advance(id, LEG_REPLY, TCP_ACK | TCP_FIN, 511, 101, 0, 0);
    assert_int_equal(f->bytes[LEG_REPLY], 10);
}

static void sequence_numbers_may_wrap(void **state)
{
    (void)state;
    uint32_t id = open_any(50000, 0);
    advance(id, LEG_FORWARD, TCP_SYN, 0xfffffffe, 0, 0, 0);
    advance(id, LEG_FORWARD, TCP_ACK, 0xffffffff, 1, 10, 0);
    assert_int_equal(flow_at(&table, id)->next_seq[LEG_FORWARD], 9);
    advance(id, LEG_FORWARD, TCP_ACK, 0xffffffff, 1, 5, 0);
    assert_int_equal(flow_at(&table, id)->next_seq[LEG_FORWARD], 9);
}

static void a_live_flow_costs_at_most_256_bytes(void **state)
{
    (void)state;
    /* Per flow: its record, two keys with their links, two bucket heads, and its place in the table of ports. */
    size_t per_flow = sizeof(struct flow) + 2 * (sizeof(struct tuple) + 4) + 2 * 4 + 4;
    assert_in_range(per_flow, 1, 256);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(both_legs_are_found_and_translate_into_each_other),
        WITH_TABLE(l1_an_unanswered_syn_ends_after_its_last_retransmission),
        WITH_TABLE(l1_a_flow_never_ends_by_idleness),
        WITH_TABLE(l1_a_half_closed_connection_lives_on),
        WITH_TABLE(l1_both_fins_end_it_after_the_linger_time),
        WITH_TABLE(l1_a_reset_ends_it_soon_from_either_side_and_in_any_state),
        WITH_TABLE(flows_expire_in_order_of_their_deadlines_whatever_happened_between),
        WITH_TABLE(l3_beyond_its_capacity_no_flow_is_opened),
        WITH_TABLE(the_oldest_closing_flow_is_offered_to_make_room),
        WITH_TABLE(o3_a_taken_source_port_is_substituted),
        WITH_TABLE(o3_a_port_is_free_again_when_its_flow_has_ended),
        WITH_TABLE(o3_port_zero_is_never_handed_out),
        WITH_TABLE(o3_ports_run_out_only_when_every_one_is_taken),
        WITH_TABLE(bytes_packets_and_numbers_are_noted_by_leg),
        WITH_TABLE(s6_syn_and_fin_are_no_bytes_however_they_come),
        WITH_TABLE(sequence_numbers_may_wrap),
        cmocka_unit_test(a_live_flow_costs_at_most_256_bytes),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
