/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whose connections are redirected (I1-I4), and direct connections to the proxy (O3). */
#include "engine_fixture.h"

static uint16_t next_port = 20000;

/* A connection that was never there before. */
static struct tuple fresh4(void)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(next_port++);
    return t;
}

static bool redirects(struct fixture *f, uint32_t pid)
{
    struct tuple t = fresh4();
    connects(f, pid, &t);
    return send_syn(f, &t, 100) == VERDICT_REWRITE;
}

static void i1_root_and_descendants_are_redirected_and_strangers_are_not(void **state)
{
    struct fixture *f = *state;
    assert_true(redirects(f, ROOT));
    assert_true(redirects(f, CHILD));
    assert_false(redirects(f, STRANGER));
    process_starts(f, 1008, 400, CHILD, 300);
    process_starts(f, 1012, 500, 1008, 400);
    assert_true(redirects(f, 1008));
    assert_true(redirects(f, 1012));
}

static void i1_a_descendant_is_redirected_though_no_generation_before_it_ever_connected(void **state)
{
    struct fixture *f = *state;
    process_starts(f, 1008, 400, CHILD, 300);
    process_starts(f, 1012, 500, 1008, 400);
    assert_true(redirects(f, 1012)); /* all of its ancestors are alive and can be asked */
}

static void i1_a_process_that_is_gone_is_still_recognised(void **state)
{
    struct fixture *f = *state;
    assert_true(redirects(f, CHILD));
    process_ends(f, CHILD);
    engine_process_exited(f->world.engine, (struct process_id){CHILD, 300}, 0, f->world.now);
    assert_true(redirects(f, CHILD)); /* a CONNECT that came late */
    process_ends(f, STRANGER);
    assert_false(redirects(f, STRANGER));
}

static void i1_a_child_of_a_dead_member_is_redirected(void **state)
{
    struct fixture *f = *state;
    assert_true(redirects(f, CHILD));
    process_starts(f, 1008, 400, CHILD, 300);
    process_ends(f, CHILD);
    engine_process_exited(f->world.engine, (struct process_id){CHILD, 300}, 0, f->world.now);
    assert_true(redirects(f, 1008));
}

static void i1_what_the_job_says_counts(void **state)
{
    struct fixture *f = *state;
    process_starts(f, 3000, 900, 2996, 0); /* its parent lived too short to be seen */
    assert_false(redirects(f, 3000));
    engine_process(f->world.engine, (struct process_id){3000, 900});
    assert_true(redirects(f, 3000));
}

static void i2_a_reused_pid_is_not_redirected(void **state)
{
    struct fixture *f = *state;
    assert_true(redirects(f, CHILD));
    process_ends(f, CHILD);
    engine_process_exited(f->world.engine, (struct process_id){CHILD, 300}, 0, f->world.now);
    process_starts(f, CHILD, 950, 4, 1);
    assert_false(redirects(f, CHILD));
    process_starts(f, 5000, 960, CHILD, 950);
    assert_false(redirects(f, 5000));
}

static void i3_the_agent_is_never_redirected_even_as_a_member(void **state)
{
    struct fixture *f = *state;
    assert_false(redirects(f, AGENT));
    engine_process(f->world.engine, (struct process_id){AGENT, 100});
    assert_false(redirects(f, AGENT));
}

static void i4_pid_0_and_4_are_never_redirected(void **state)
{
    struct fixture *f = *state;
    process_starts(f, 4, 1, 0, 0);
    engine_process(f->world.engine, (struct process_id){4, 1});
    engine_process(f->world.engine, (struct process_id){0, 1});
    assert_false(redirects(f, 4));
    assert_false(redirects(f, 0));
}

/* Connects within the machine; whether that is redirected. */
static bool redirects_local(struct fixture *f, const char *address, uint16_t port)
{
    uint32_t family;
    address_of(address, &family);
    struct tuple t = tuple_of(address, next_port++, address, port);
    f->loopback = true;
    connects(f, ROOT, &t);
    return send_syn(f, &t, 100) == VERDICT_REWRITE;
}

static void i3_connections_to_a_listener_of_the_agent_pass(void **state)
{
    struct fixture *f = *state;
    struct tuple early = {.src_port = be16_from_host(7001)};
    early.src = address_of("127.0.0.1", &early.family);
    struct tuple late = {.family = FAMILY_IP6, .src_port = be16_from_host(7002)}; /* :: */
    engine_listener(f->world.engine, &early, AGENT);
    send_event(f, SOCKET_LISTEN, AGENT, &late);
    assert_false(redirects_local(f, "127.0.0.1", 7001));
    assert_true(redirects_local(f, "10.0.0.1", 7001)); /* there somebody else listens */
    assert_false(redirects_local(f, "::1", 7002));
    assert_false(redirects_local(f, "10.0.0.1", 7002)); /* dual-stack */
    assert_true(redirects_local(f, "127.0.0.1", 7003));

    send_event(f, SOCKET_CLOSE, AGENT, &early);
    assert_true(redirects_local(f, "127.0.0.1", 7001));
}

static void i3_a_listener_of_somebody_else_changes_nothing(void **state)
{
    struct fixture *f = *state;
    listens(f, STRANGER, "0.0.0.0", 7001);
    assert_true(redirects_local(f, "127.0.0.1", 7001));
}

static void i3_the_end_of_the_agents_connections_is_not_the_end_of_its_listener(void **state)
{
    struct fixture *f = *state;
    struct tuple accepted = tuple_of("127.0.0.1", 7001, "127.0.0.1", 55555);
    listens(f, AGENT, "127.0.0.1", 7001);
    send_event(f, SOCKET_ACCEPT, AGENT, &accepted);
    send_event(f, SOCKET_CLOSE, AGENT, &accepted);
    assert_false(redirects_local(f, "127.0.0.1", 7001));
}

static struct tuple to_proxy(const char *address, uint16_t port)
{
    return tuple_of(address, port, address, PROXY_PORT);
}

/* A whole direct connection; every packet must come out as `seen`, and its answers as the program sent for. */
static void check_direct(struct fixture *f, const struct tuple *t, const struct tuple *seen)
{
    struct tuple reply = tuple_reversed(seen), back = tuple_reversed(t);
    send_segment(f, ack_of(t, 101, 501));
    assert_tuple(&f->last, seen);
    assert_true(f->last.meta.outbound);
    send_segment(f, data_of(&reply, 501, 101, 10));
    assert_tuple(&f->last, &back);
    assert_true(f->last.meta.outbound);
}

static void o3_a_direct_connection_to_the_proxy_is_not_redirected_and_has_no_mapping(void **state)
{
    struct fixture *f = *state;
    f->loopback = true;
    const char *addresses[] = {"127.0.0.1", "::1", "127.0.0.1", "::1"};
    for (uint16_t i = 0; i < 4; i++) {
        struct tuple t = to_proxy(addresses[i], (uint16_t)(50000 + i));
        connects(f, i < 2 ? ROOT : STRANGER, &t);
        send_syn(f, &t, 100);
        check_direct(f, &t, &t);
        assert_true(maps_nothing(f, (uint16_t)(50000 + i)));
    }
    assert_int_equal(f->world.flows_begun, 0);
    assert_int_equal(COUNTER(f, flows_total), 0);
    assert_int_equal(COUNTER(f, flows_live), 0);
}

static void o3_a_direct_connection_never_shares_its_source_port_with_a_flow(void **state)
{
    struct fixture *f = *state;
    struct tuple flow = tuple4(), direct = to_proxy("127.0.0.1", 50000), second = tuple6();
    established(f, &flow);
    f->loopback = true;
    send_syn(f, &direct, 100);
    struct tuple seen = tuple_in(&f->last);
    assert_int_not_equal(source_port(&seen), 50000);
    assert_true(maps_nothing(f, source_port(&seen)));
    check_direct(f, &direct, &seen);
    f->loopback = false;
    assert_int_equal(send_segment(f, data_of(&flow, 101, 501, 10)), VERDICT_REWRITE);

    /* And the other way round: the direct one is there first. */
    struct tuple other = to_proxy("::1", 50005);
    f->loopback = true;
    send_syn(f, &other, 100);
    f->loopback = false;
    second.src_port = be16_from_host(50005);
    struct tuple steered = redirected(f, ROOT, &second, 100);
    assert_int_not_equal(source_port(&steered), 50005);
    assert_true(maps_nothing(f, 50005));
}

/* The proxy may listen on all addresses; then this is as direct a connection as one over 127.0.0.1. */
static void o3_a_direct_connection_over_an_own_address_does_not_share_its_source_port_either(void **state)
{
    struct fixture *f = *state;
    struct tuple flow = tuple4(), direct = to_proxy("10.0.0.1", 50000);
    listens(f, AGENT, "0.0.0.0", PROXY_PORT);
    established(f, &flow);
    f->loopback = true;
    send_syn(f, &direct, 100);
    struct tuple seen = tuple_in(&f->last);
    assert_int_equal(be16_to_host(seen.dst_port), PROXY_PORT);
    assert_true(maps_nothing(f, source_port(&seen)));
}

/* The proxy listens on 127.0.0.1 and ::1; the program's own server has the same port number on another address. */
static void o1_a_server_on_an_own_address_with_the_proxys_port_number_is_redirected(void **state)
{
    struct fixture *f = *state;
    listens(f, CHILD, "10.0.0.1", PROXY_PORT);
    assert_true(redirects_local(f, "10.0.0.1", PROXY_PORT));
}

/* Nobody's connection in the tree: as it came, checksum flags included. */
static void o5_a_direct_connection_of_a_stranger_leaves_as_it_came(void **state)
{
    static struct made came;
    struct fixture *f = *state;
    for (uint16_t i = 0; i < 4; i++) {
        struct tuple t = to_proxy("127.0.0.1", (uint16_t)(50000 + i));
        struct segment s = syn_of(&t, 100);
        make(&came, &s);
        came.meta.loopback = true;
        came.meta.ip_checksum_valid = i & 1;
        came.meta.transport_checksum_valid = i & 2;
        if (!(i & 1)) {
            put16(came.bytes + 10, 0);
        }
        f->last = came;
        send_packet(f, &f->last);
        assert_memory_equal(f->last.bytes, came.bytes, came.length);
        assert_true(meta_equal(&f->last.meta, &came.meta));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(i1_root_and_descendants_are_redirected_and_strangers_are_not),
        WITH_ENGINE(i1_a_descendant_is_redirected_though_no_generation_before_it_ever_connected),
        WITH_ENGINE(i1_a_process_that_is_gone_is_still_recognised),
        WITH_ENGINE(i1_a_child_of_a_dead_member_is_redirected),
        WITH_ENGINE(i1_what_the_job_says_counts),
        WITH_ENGINE(i2_a_reused_pid_is_not_redirected),
        WITH_ENGINE(i3_the_agent_is_never_redirected_even_as_a_member),
        WITH_ENGINE(i4_pid_0_and_4_are_never_redirected),
        WITH_ENGINE(i3_connections_to_a_listener_of_the_agent_pass),
        WITH_ENGINE(i3_a_listener_of_somebody_else_changes_nothing),
        WITH_ENGINE(i3_the_end_of_the_agents_connections_is_not_the_end_of_its_listener),
        WITH_ENGINE(o3_a_direct_connection_to_the_proxy_is_not_redirected_and_has_no_mapping),
        WITH_ENGINE(o3_a_direct_connection_never_shares_its_source_port_with_a_flow),
        WITH_ENGINE(o3_a_direct_connection_over_an_own_address_does_not_share_its_source_port_either),
        WITH_ENGINE(o1_a_server_on_an_own_address_with_the_proxys_port_number_is_redirected),
        WITH_ENGINE(o5_a_direct_connection_of_a_stranger_leaves_as_it_came),
    };
    return cmocka_run_group_tests_name("engine: identity", tests, NULL, NULL);
}
