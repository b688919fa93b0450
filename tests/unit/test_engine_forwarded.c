/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Connections that this machine only forwards, for a hotspot or a network behind it: nobody here has opened them, and
 * nobody here listens for them (O5). And the look at the TCP table, of which one answers for all.
 */
#include "machine.h"

static void has(struct fixture *f, const char *address)
{
    uint32_t family;
    ip_addr a = address_of(address, &family);
    world_has_address(&f->world, &a, family, 7);
}

static struct tuple guest(uint16_t port)
{
    return tuple_of("192.168.137.5", port, "93.184.216.34", 443);
}

static void o5_the_syn_of_a_guest_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    struct tuple t = guest(50000), t6 = tuple_of("2001:db8:77::5", 50001, "2001:db8:9::9", 443);
    has(f, "10.0.0.1");
    has(f, "2001:db8::1");
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_syn(f, &t6, 100), VERDICT_PASS);
    pass_time(f, HOLD_MS);
    assert_int_equal(f->world.table_looks, 0);
    assert_int_equal(COUNTER(f, syns_forwarded), 2);
    assert_int_equal(COUNTER(f, packets_held), 0);
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
}

static void o2_own_connections_wait_for_their_owner_as_ever(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    has(f, "10.0.0.1");
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    connects_late(f, ROOT, &t);
    assert_int_equal(f->injected_count, 1);
    assert_true(maps(f, 50000, &t, ROOT));
    assert_int_equal(COUNTER(f, syns_forwarded), 0);
}

/* The machine got the address a moment ago, and the list is not that new. */
static void o1_an_event_says_more_than_the_addresses(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    has(f, "10.0.0.9");
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    assert_true(maps(f, 50000, &t, ROOT));
}

static void o2_until_the_addresses_are_known_no_connection_is_a_guests(void **state)
{
    struct fixture *f = *state;
    struct tuple t = guest(50000);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    has(f, "10.0.0.1");
    t.src_port = be16_from_host(50001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    has(f, "192.168.137.5"); /* and it becomes one of ours */
    t.src_port = be16_from_host(50002);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
}

static void o5_loopback_is_never_forwarded(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of("127.0.0.1", 50000, "127.0.0.1", 443);
    has(f, "10.0.0.1");
    f->loopback = true;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
}

static void n1_a_connection_to_another_machine_is_not_led_to_the_incoming_proxy(void **state)
{
    struct fixture *f = *state;
    struct tuple ours = tuple_of("203.0.113.9", 50000, "10.0.0.1", 80), through = ours;
    struct tuple to_proxy = tuple_of("203.0.113.9", 50000, "192.168.137.5", INCOMING_PORT);
    through.dst = address_of("192.168.137.5", &through.family);
    opens(f, ROOT, "0.0.0.0", 80);
    has(f, "10.0.0.1");
    taken_in(f, &ours, 100);
    assert_int_equal(syn_arrives(f, &through, 100), VERDICT_PASS);
    assert_int_equal(syn_arrives(f, &to_proxy, 100), VERDICT_PASS); /* nor has it a port of ours */
    assert_int_equal(COUNTER(f, syns_forwarded), 2);
    assert_int_equal(COUNTER(f, flows_live), 1);
}

/* Two bursts, a tick apart. */
static void o2_one_look_at_the_tcp_table_answers_for_all_that_are_due(void **state)
{
    struct fixture *f = *state;
    enum { BURST = 300 };
    f->world.owner = ROOT;
    for (int i = 0; i < 2 * BURST; i++) {
        struct tuple t = tuple4();
        t.src_port = be16_from_host(fresh_port(f));
        assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
        f->world.now += i == BURST ? 1 : 0;
    }
    pass_time(f, HOLD_MS / 2 - 1);
    assert_int_equal(f->world.table_looks, 1);
    assert_in_range(f->world.owner_asked, BURST, BURST + 1);
    pass_time(f, 1);
    assert_int_equal(f->world.table_looks, 2);
    assert_int_equal(f->world.owner_asked, 2 * BURST);
    assert_int_equal(COUNTER(f, flows_live), 256); /* all that the table holds */
    assert_int_equal(f->injected_count, 2 * BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o5_the_syn_of_a_guest_leaves_at_once),
        WITH_ENGINE(o2_own_connections_wait_for_their_owner_as_ever),
        WITH_ENGINE(o1_an_event_says_more_than_the_addresses),
        WITH_ENGINE(o2_until_the_addresses_are_known_no_connection_is_a_guests),
        WITH_ENGINE(o5_loopback_is_never_forwarded),
        WITH_MACHINE(n1_a_connection_to_another_machine_is_not_led_to_the_incoming_proxy),
        WITH_ENGINE(o2_one_look_at_the_tcp_table_answers_for_all_that_are_due),
    };
    return cmocka_run_group_tests_name("engine: connections of others", tests, NULL, NULL);
}
