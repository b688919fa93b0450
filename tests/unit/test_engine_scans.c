/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scans of the TCP table: they end the flows whose sockets are gone without a word, and no others (L1). */
#include "machine.h"

/* One scan. All that is needed for it to happen is that its time has come. */
static void scan(struct fixture *f)
{
    uint32_t asked = f->world.connected.asked;
    pass_time(f, SCAN_MS);
    assert_int_equal(f->world.connected.asked, asked + 1);
}

static void has_socket(struct fixture *f, const struct tuple *local_to_remote)
{
    world_row_add(&f->world.connected, local_to_remote, 0);
}

static void l1_a_flow_with_neither_end_is_over_after_two_scans(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), t6 = tuple6(), steered = established(f, &t);
    established(f, &t6);
    scan(f);
    assert_true(maps(f, 50000, &t, ROOT));
    assert_int_equal(send_segment(f, data_of(&t, 101, 501, 10)), VERDICT_REWRITE);
    scan(f);
    assert_true(maps_nothing(f, 50000));
    assert_int_equal(f->world.flows_ended, 2);
    assert_int_equal(COUNTER(f, flows_live), 0);
    assert_int_equal(f->world.engine->flows.live, 0);
    assert_int_equal(send_segment(f, data_of(&t, 111, 501, 10)), VERDICT_PASS);
    redirected(f, CHILD, &t, 7777); /* the port is free again */
    assert_tuple(&f->last, &steered);
}

static void l1_one_end_is_enough_for_days(void **state)
{
    struct fixture *f = *state;
    struct tuple program = tuple4(), proxy = tuple6(), lost = tuple4();
    proxy.src_port = be16_from_host(50001);
    lost.src_port = be16_from_host(50002);
    established(f, &program);
    struct tuple steered = established(f, &proxy), its_end = tuple_reversed(&steered);
    established(f, &lost);
    has_socket(f, &program); /* the proxy has closed its end, or the other way round */
    has_socket(f, &its_end);
    for (int i = 0; i < 2 * 24 * 120; i++) {
        pass_time(f, SCAN_MS);
    }
    assert_true(maps(f, 50000, &program, ROOT));
    assert_true(maps(f, 50001, &proxy, ROOT));
    assert_true(maps_nothing(f, 50002));
    assert_int_equal(f->world.flows_ended, 1);
}

/* Of a connection from another machine only the proxy's end is here. */
static void l1_n2_the_proxys_end_is_enough_for_an_incoming_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple kept = tuple_of("203.0.113.9", 50000, "10.0.0.1", 80), lost = kept;
    lost.src_port = be16_from_host(50001);
    opens(f, ROOT, "0.0.0.0", 80);
    struct tuple seen = taken_in(f, &kept, 100), proxys_end = tuple_reversed(&seen);
    struct tuple seen_lost = taken_in(f, &lost, 100), its_reply = tuple_reversed(&seen_lost);
    assert_int_equal(send_segment(f, syn_ack_of(&proxys_end, 500, 101)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, syn_ack_of(&its_reply, 500, 101)), VERDICT_REWRITE);
    has_socket(f, &proxys_end);
    for (int i = 0; i < 10; i++) {
        scan(f);
    }
    assert_true(maps_incoming(f, 50000, &kept, ROOT));
    assert_true(maps_nothing(f, 50001));
}

static void l1_other_sockets_keep_no_flow_alive(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4(), steered = established(f, &t);
    struct tuple others[] = {
        tuple_of("10.0.0.1", 50000, "93.184.216.34", 80),
        tuple_of("10.0.0.1", 50001, "93.184.216.34", 443),
        tuple_of("10.0.0.2", 50000, "93.184.216.34", 443),
        local_end("10.0.0.1", 50000),
        steered,
        /* the program has no socket to the proxy: that end is the proxy's, and is listed from its side */
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        has_socket(f, &others[i]);
    }
    scan(f);
    scan(f);
    assert_true(maps_nothing(f, 50000));
}

static void l1_the_two_scans_must_be_in_a_row(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    for (int i = 0; i < 10; i++) {
        scan(f);
        has_socket(f, &t);
        scan(f);
        world_row_remove(&f->world.connected, &t);
    }
    assert_true(maps(f, 50000, &t, ROOT));
    scan(f);
    scan(f);
    assert_true(maps_nothing(f, 50000));
}

static void l1_a_scan_that_fails_proves_nothing(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    f->world.connected.fails = true;
    for (int i = 0; i < 10; i++) {
        scan(f);
    }
    assert_true(maps(f, 50000, &t, ROOT));
    f->world.connected.fails = false;
    scan(f);
    f->world.connected.fails = true;
    scan(f);
    assert_true(maps(f, 50000, &t, ROOT));
    f->world.connected.fails = false;
    scan(f);
    assert_true(maps_nothing(f, 50000));
}

/* A snapshot may be older than a flow that begins while it is taken. */
static void l1_a_flow_that_begins_between_two_scans_is_safe(void **state)
{
    struct fixture *f = *state;
    struct tuple old = tuple4(), fresh = tuple6();
    fresh.src_port = be16_from_host(50001);
    established(f, &old);
    scan(f);
    established(f, &fresh);
    scan(f);
    assert_true(maps_nothing(f, 50000));
    assert_true(maps(f, 50001, &fresh, ROOT));
    has_socket(f, &fresh);
    scan(f);
    scan(f);
    assert_true(maps(f, 50001, &fresh, ROOT));

    struct tuple again = tuple4(); /* in the place of the old one: it inherits no missed scan */
    established(f, &again);
    scan(f);
    assert_true(maps(f, 50000, &again, ROOT));
}

/* No answer yet: its own time-out is there for that, and a refused SYN may be tried again. */
static void l1_scans_do_not_end_what_is_opening_or_closing(void **state)
{
    struct engine_config config = machine_config();
    config.scan_interval_ms = 100;
    struct fixture *f = machine_renew(state, &config);
    struct tuple opening = tuple4(), closing = tuple6();
    closing.src_port = be16_from_host(50001);
    redirected(f, ROOT, &opening, 100);
    struct tuple steered = established(f, &closing), reply = tuple_reversed(&steered);
    assert_int_equal(send_segment(f, fin_of(&closing, 101, 501)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, fin_of(&reply, 501, 102)), VERDICT_REWRITE);
    for (int ms = 0; ms < 5000; ms += 100) {
        pass_time(f, 100);
    }
    assert_in_range(f->world.connected.asked, 49, 51);
    assert_true(maps(f, 50000, &opening, ROOT));
    assert_int_equal(send_segment(f, ack_of(&closing, 102, 502)), VERDICT_REWRITE); /* the last ACK gets through */
}

/* A direct connection to the proxy takes a source port; one that is gone must give it back. */
static void l1_o3_a_direct_connection_that_is_gone_gives_its_port_back(void **state)
{
    struct fixture *f = *state;
    struct tuple direct = tuple_of("127.0.0.1", 50000, "127.0.0.1", PROXY_PORT), reply = tuple_reversed(&direct);
    struct tuple t = tuple4();
    f->loopback = true;
    send_syn(f, &direct, 100);
    send_segment(f, syn_ack_of(&reply, 500, 101));
    f->loopback = false;
    scan(f);
    scan(f);
    struct tuple steered = redirected(f, ROOT, &t, 100);
    assert_int_equal(source_port(&steered), 50000);
}

static void l1_the_table_is_scanned_no_more_often_than_configured_and_not_for_nothing(void **state)
{
    struct fixture *f = *state;
    for (uint32_t ms = 0; ms < 4 * SCAN_MS; ms += 250) {
        pass_time(f, 250);
    }
    assert_int_equal(f->world.connected.asked, 0); /* nothing to look for */
    struct tuple t = tuple4();
    established(f, &t);
    has_socket(f, &t);
    for (uint32_t ms = 0; ms < 4 * SCAN_MS; ms += 250) {
        pass_time(f, 250);
    }
    assert_int_equal(f->world.connected.asked, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(l1_a_flow_with_neither_end_is_over_after_two_scans),
        WITH_MACHINE(l1_one_end_is_enough_for_days),
        WITH_MACHINE(l1_n2_the_proxys_end_is_enough_for_an_incoming_flow),
        WITH_MACHINE(l1_other_sockets_keep_no_flow_alive),
        WITH_MACHINE(l1_the_two_scans_must_be_in_a_row),
        WITH_MACHINE(l1_a_scan_that_fails_proves_nothing),
        WITH_MACHINE(l1_a_flow_that_begins_between_two_scans_is_safe),
        WITH_MACHINE(l1_scans_do_not_end_what_is_opening_or_closing),
        WITH_MACHINE(l1_o3_a_direct_connection_that_is_gone_gives_its_port_back),
        WITH_MACHINE(l1_the_table_is_scanned_no_more_often_than_configured_and_not_for_nothing),
    };
    return cmocka_run_group_tests_name("engine: scans", tests, NULL, NULL);
}
