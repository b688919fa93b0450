/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Link-local addresses: a scope stays a scope (O8), and one address behind two interfaces is two hosts. */
#include "machine.h"

#include "engine/flow_list.h"

enum { LAN = 7, WLAN = 9 };

static const char *const HERE = "fe80::a", *const HERE_TOO = "fe80::b", *const PEER = "fe80::9",
                         *const OWN = "2001:db8::1";

static void has(struct fixture *f, const char *address, uint32_t if_index)
{
    uint32_t family;
    ip_addr a = address_of(address, &family);
    world_has_address(&f->world, &a, family, if_index);
}

/* Two uplinks, each with a link-local address of its own. */
static void uplinks(struct fixture *f)
{
    has(f, OWN, LAN);
    has(f, HERE, LAN);
    has(f, HERE_TOO, WLAN);
}

/* A packet that the driver sees at this interface. */
static enum verdict at(struct fixture *f, uint32_t if_index, bool outbound, struct segment s)
{
    make(&f->last, &s);
    f->last.meta.if_index = if_index;
    f->last.meta.outbound = outbound;
    f->last.meta.loopback = f->loopback;
    return send_packet(f, &f->last);
}

static struct destination mapped(const struct fixture *f, uint16_t port)
{
    struct destination d = {.family = FAMILY_NONE};
    assert_true(destinations_find(engine_destinations(f->world.engine), port, &d));
    return d;
}

static struct flow_view listed(const struct fixture *f)
{
    static struct flow_view views[FLOW_LIST_SLOTS];
    uint32_t count;
    assert_int_equal(engine_list_flows(f->world.engine, 0, views, &count), FLOW_NONE);
    assert_int_equal(count, 1);
    return views[0];
}

static void o8_the_proxy_learns_the_scope_of_a_link_local_destination(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE_TOO, 50000, PEER, 80);
    uplinks(f);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, WLAN, true, syn_of(&t, 100)), VERDICT_REWRITE); /* at once: the event is recognised */
    assert_int_equal(f->world.owner_asked, 0);
    struct tuple steered = tuple_in(&f->last), reply = tuple_reversed(&steered), back = tuple_reversed(&t);
    assert_true(maps(f, 50000, &t, ROOT));
    assert_int_equal(mapped(f, 50000).scope, WLAN);
    assert_int_equal(listed(f).scope, WLAN);

    f->loopback = true;
    assert_int_equal(at(f, 1, true, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
    assert_int_equal(f->last.meta.if_index, WLAN);
    f->loopback = false;
    assert_int_equal(at(f, WLAN, true, ack_of(&t, 101, 501)), VERDICT_REWRITE);
    assert_tuple(&f->last, &steered);
}

static void o8_other_addresses_have_no_scope(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6(), t4 = tuple4();
    t4.src_port = be16_from_host(50001);
    uplinks(f);
    has(f, "10.0.0.1", LAN);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_REWRITE);
    assert_int_equal(mapped(f, 50000).scope, 0);
    connects(f, ROOT, &t4);
    assert_int_equal(at(f, LAN, true, syn_of(&t4, 100)), VERDICT_REWRITE);
    assert_int_equal(mapped(f, 50001).scope, 0);
}

/* A global address of this machine, and a link-local one of another: the interface is where it leaves. */
static void o8_one_link_local_end_is_enough(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(OWN, 50000, PEER, 80);
    uplinks(f);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_REWRITE);
    assert_int_equal(mapped(f, 50000).scope, LAN);
}

/* The event of an address that the engine has not heard of yet is of no use; the TCP table knows the scope. */
static void o8_o2_without_the_addresses_the_tcp_table_is_asked(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE, 50000, PEER, 80);
    connects(f, ROOT, &t);
    f->world.owner = ROOT;
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_HOLD);
    pass_time(f, HOLD_MS / 2);
    assert_int_equal(f->world.owner_asked, 1);
    assert_int_equal(f->world.owner_tuple.scope, LAN);
    assert_int_equal(f->injected_count, 1);
    assert_int_equal(mapped(f, 50000).scope, LAN);
}

static void o8_reflected_the_peer_has_the_scope_too(void **state)
{
    struct engine_config config = fixture_config();
    config.reflect = true;
    struct fixture *f = fixture_renew(state, &config);
    struct tuple t = tuple_of(HERE, 50000, PEER, 80), want = tuple_of(PEER, 50000, HERE, PROXY_PORT);
    struct tuple reply = tuple_reversed(&want), back = tuple_reversed(&t);
    uplinks(f);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_REWRITE);
    assert_tuple(&f->last, &want);
    assert_int_equal(f->last.meta.if_index, LAN);
    assert_int_equal(mapped(f, 50000).scope, LAN);
    assert_int_equal(at(f, LAN, true, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
}

/* Both uplinks have the same address, and so have the hosts behind them. */
static void o8_equal_addresses_and_ports_behind_two_interfaces_are_two_connections(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE, 50000, PEER, 80), seen[2];
    const uint32_t interfaces[2] = {LAN, WLAN};
    has(f, HERE, LAN);
    has(f, HERE, WLAN);
    f->world.owner = ROOT; /* the event could be of either: the TCP table is asked */
    for (uint32_t i = 0; i < 2; i++) {
        connects(f, i ? STRANGER : ROOT, &t);
        assert_int_equal(at(f, interfaces[i], true, syn_of(&t, 100 + i)), VERDICT_HOLD);
    }
    pass_time(f, HOLD_MS / 2);
    assert_int_equal(f->world.owner_asked, 2);
    assert_int_equal(f->injected_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        seen[i] = tuple_in(f->injected[i]);
        assert_int_equal(mapped(f, source_port(&seen[i])).scope, interfaces[i]);
    }
    assert_int_not_equal(source_port(&seen[0]), source_port(&seen[1]));
    for (uint32_t i = 0; i < 2; i++) { /* the packets of each stay its own */
        assert_int_equal(at(f, interfaces[i], true, ack_of(&t, 101 + i, 501)), VERDICT_REWRITE);
        assert_tuple(&f->last, &seen[i]);
    }
    assert_int_equal(at(f, WLAN, true, rst_of(&t, 102, 501)), VERDICT_REWRITE);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_true(maps_nothing(f, source_port(&seen[1])));
    assert_int_equal(mapped(f, source_port(&seen[0])).scope, LAN);
}

/* A connection of a stranger's on the other interface is not taken for the tree's. */
static void o8_o5_packets_of_another_interface_are_not_the_flows(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE, 50000, PEER, 80);
    uplinks(f);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_REWRITE);
    assert_int_equal(at(f, WLAN, true, ack_of(&t, 7777, 1)), VERDICT_PASS);
    assert_int_equal(at(f, WLAN, true, rst_of(&t, 7777, 1)), VERDICT_PASS);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_true(maps(f, 50000, &t, ROOT));
}

static void o8_n3_two_peers_with_one_link_local_address_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(PEER, 50000, HERE, 80), seen[2];
    const uint32_t interfaces[2] = {LAN, WLAN};
    has(f, HERE, LAN);
    has(f, HERE, WLAN);
    opens(f, ROOT, "::", 80);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(at(f, interfaces[i], false, syn_of(&t, 100 + i)), VERDICT_REWRITE);
        seen[i] = tuple_in(&f->last);
        assert_int_equal(mapped(f, source_port(&seen[i])).scope, interfaces[i]);
    }
    assert_int_not_equal(source_port(&seen[0]), source_port(&seen[1]));
    for (uint32_t i = 0; i < 2; i++) {
        struct tuple reply = tuple_reversed(&seen[i]), back = tuple_reversed(&t);
        assert_int_equal(at(f, interfaces[i], true, syn_ack_of(&reply, 500, 101 + i)), VERDICT_REWRITE);
        assert_tuple(&f->last, &back);
        assert_int_equal(f->last.meta.if_index, interfaces[i]);
    }
}

/* Windows shows a loopback packet at the loopback interface; the scope is that of the address. */
static void o8_over_loopback_the_scope_is_the_addresss_own(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE_TOO, 50000, HERE_TOO, 80), row = t;
    uplinks(f);
    f->loopback = true;
    connects(f, ROOT, &t);
    assert_int_equal(at(f, 1, true, syn_of(&t, 100)), VERDICT_REWRITE);
    struct tuple steered = tuple_in(&f->last), reply = tuple_reversed(&steered);
    assert_int_equal(mapped(f, 50000).scope, WLAN);
    assert_int_equal(at(f, 1, true, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_int_equal(at(f, 1, true, ack_of(&t, 101, 501)), VERDICT_REWRITE);

    row.scope = WLAN; /* as the TCP table has it */
    world_row_add(&f->world.connected, &row, ROOT);
    for (int i = 0; i < 4; i++) {
        pass_time(f, SCAN_MS);
    }
    assert_true(maps(f, 50000, &t, ROOT));
}

static void o8_l1_a_scan_knows_a_connection_by_its_scope(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple_of(HERE, 50000, PEER, 80), row = t;
    uplinks(f);
    connects(f, ROOT, &t);
    assert_int_equal(at(f, LAN, true, syn_of(&t, 100)), VERDICT_REWRITE);
    struct tuple steered = tuple_in(&f->last), reply = tuple_reversed(&steered);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    row.scope = LAN;
    world_row_add(&f->world.connected, &row, ROOT);
    for (int i = 0; i < 4; i++) {
        pass_time(f, SCAN_MS);
    }
    assert_true(maps(f, 50000, &t, ROOT));
    world_row_remove(&f->world.connected, &row);
    row.scope = WLAN; /* another connection */
    world_row_add(&f->world.connected, &row, ROOT);
    for (int i = 0; i < 2; i++) {
        pass_time(f, SCAN_MS);
    }
    assert_true(maps_nothing(f, 50000));
}

/*
 * By which interface a packet leaves that is sent again, its source address has to tell; where it cannot, strangers'
 * packets are not taken.
 */
static void o8_o5_link_local_packets_stay_in_the_kernel_while_two_interfaces_have_one_address(void **state)
{
    struct engine_config config = fixture_config();
    struct own_address once = {.family = FAMILY_IP6, .if_index = LAN};
    uint32_t family;
    fixture_free(*state);
    struct fixture *f = *state = fixture_open(&config, WORLD_WITHOUT_TABLES);
    struct tuple t = tuple_of(HERE, 50000, PEER, 80), here = tuple_of(HERE, 50001, HERE, 80), global = tuple6();
    has(f, HERE, LAN);
    has(f, OWN, LAN);
    assert_int_equal(world_replace_filter(&f->world, true)->without_link_local, 0);
    connects(f, ROOT, &t);
    assert_int_equal(COUNTER(f, link_local_passed), 0);

    has(f, HERE, WLAN);
    f->world.now += 1000;
    assert_int_equal(world_replace_filter(&f->world, false)->without_link_local, 1);
    assert_null(world_replace_filter(&f->world, false)); /* it could not be had, and is not asked for at once */
    f->world.now += 60000;
    assert_int_equal(world_replace_filter(&f->world, true)->without_link_local, 1);
    assert_null(world_replace_filter(&f->world, true));
    connects(f, ROOT, &here); /* over loopback they are captured */
    connects(f, ROOT, &global);
    connects(f, STRANGER, &t);
    assert_int_equal(COUNTER(f, link_local_passed), 0);
    connects(f, ROOT, &t);
    assert_int_equal(COUNTER(f, link_local_passed), 1);

    once.address = address_of(HERE, &family);
    engine_set_own_addresses(engine_of(f), own_addresses_new(&once, 1));
    f->world.now += 60000;
    assert_int_equal(world_replace_filter(&f->world, true)->without_link_local, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o8_the_proxy_learns_the_scope_of_a_link_local_destination),
        WITH_ENGINE(o8_other_addresses_have_no_scope),
        WITH_ENGINE(o8_one_link_local_end_is_enough),
        WITH_ENGINE(o8_o2_without_the_addresses_the_tcp_table_is_asked),
        WITH_ENGINE(o8_reflected_the_peer_has_the_scope_too),
        WITH_ENGINE(o8_equal_addresses_and_ports_behind_two_interfaces_are_two_connections),
        WITH_ENGINE(o8_o5_packets_of_another_interface_are_not_the_flows),
        WITH_MACHINE(o8_n3_two_peers_with_one_link_local_address_are_told_apart),
        WITH_MACHINE(o8_over_loopback_the_scope_is_the_addresss_own),
        WITH_MACHINE(o8_l1_a_scan_knows_a_connection_by_its_scope),
        WITH_ENGINE(o8_o5_link_local_packets_stay_in_the_kernel_while_two_interfaces_have_one_address),
    };
    return cmocka_run_group_tests_name("engine: scopes", tests, NULL, NULL);
}
