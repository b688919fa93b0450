/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Proxies and upstreams are found by their listeners, at each new connection, and are not redirected (O9). */
#include "machine.h"

enum { PROXY = 3000, SUCCESSOR = 3004, UPSTREAM_PORT = 1080 };

/* Whether a new connection of this process is redirected; if not, it passes. */
static bool is_led(struct fixture *f, uint32_t pid)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(fresh_port(f));
    connects(f, pid, &t);
    enum verdict verdict = send_syn(f, &t, 100);
    assert_true(verdict == VERDICT_REWRITE || verdict == VERDICT_PASS);
    return verdict == VERDICT_REWRITE;
}

/* PROXY and SUCCESSOR are of the tree, the agent does not listen; of `config` what is not about that. */
static struct fixture *without_agent(void **state, struct engine_config config)
{
    struct fixture *f = machine_renew_bare(state, &config);
    process_starts(f, PROXY, 900, ROOT, 200);
    process_starts(f, SUCCESSOR, 901, ROOT, 200);
    return f;
}

static struct fixture *with_upstream(void **state, const char *address)
{
    struct tuple upstream = {.dst_port = be16_from_host(UPSTREAM_PORT)};
    struct engine_config config = machine_config();
    upstream.dst = address_of(address, &upstream.family);
    config.upstreams = &upstream;
    config.upstream_count = 1;
    return machine_with_proxies(without_agent(state, config));
}

static void o9_a_proxy_of_the_tree_is_spared_and_the_others_are_not(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    assert_false(is_led(f, PROXY));
    assert_true(is_led(f, ROOT));
    assert_true(is_led(f, CHILD));
    assert_int_equal(COUNTER(f, proxy_connections), 1);
    assert_int_equal(f->world.spared_pid, PROXY);
    assert_true(tuple_equal(&f->world.spared_at, &(struct tuple){.dst = ip_addr_loopback(FAMILY_IP4),
                                                                 .dst_port = be16_from_host(PROXY_PORT),
                                                                 .family = FAMILY_IP4}));
}

static void o9_a_proxy_that_is_restarted_is_followed(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    for (int i = 0; i < 3; i++) {
        uint32_t old = i % 2 ? SUCCESSOR : PROXY, young = i % 2 ? PROXY : SUCCESSOR;
        assert_false(is_led(f, old));
        closes(f, old, "127.0.0.1", PROXY_PORT);
        assert_false(is_led(f, young)); /* before it listens: nobody does */
        opens(f, young, "127.0.0.1", PROXY_PORT);
        assert_false(is_led(f, young));
        assert_true(is_led(f, old)); /* it is one like any other now */
    }
}

static void o9_a_successor_whose_listen_is_late_or_lost_is_spared_too(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    struct tuple t = tuple4();
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    assert_true(is_led(f, ROOT));
    closes_unheard(f, "127.0.0.1", PROXY_PORT);
    listens_unheard(f, SUCCESSOR, "127.0.0.1", PROXY_PORT);
    f->world.owner = SUCCESSOR; /* of the SYN whose CONNECT is late as well */
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS / 2);
    assert_int_equal(f->injected_count, 1);
    assert_true(injected_is(f, 0, syn_of(&t, 100)));
    assert_true(maps_nothing(f, source_port(&t)));
}

/* SO_REUSEADDR: which of them gets a connection, nobody knows. */
static void o9_two_on_one_address_are_both_spared(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    opens(f, SUCCESSOR, "127.0.0.1", PROXY_PORT);
    assert_false(is_led(f, PROXY));
    assert_false(is_led(f, SUCCESSOR));
    closes(f, PROXY, "127.0.0.1", PROXY_PORT);
    assert_true(is_led(f, PROXY));
    assert_false(is_led(f, SUCCESSOR));
}

static void o9_who_is_not_reached_is_no_proxy(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    opens(f, CHILD, "0.0.0.0", PROXY_PORT); /* the other one is bound more exactly */
    opens(f, SUCCESSOR, "10.0.0.1", PROXY_PORT);
    opens(f, ROOT, "127.0.0.1", PROXY_PORT + 10);
    assert_false(is_led(f, PROXY));
    assert_true(is_led(f, CHILD));
    assert_true(is_led(f, SUCCESSOR));
    assert_true(is_led(f, ROOT));
}

static void o9_a_wildcard_is_as_good_where_nobody_is_bound_more_exactly(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, PROXY, "::", PROXY_PORT); /* dual-stack */
    assert_false(is_led(f, PROXY));
    assert_true(is_led(f, CHILD));
    closes(f, PROXY, "::", PROXY_PORT);
    opens(f, SUCCESSOR, "0.0.0.0", PROXY_PORT);
    assert_false(is_led(f, SUCCESSOR));
}

/* A server of the tree that happens to have the proxy's port, in the other family or on every address. */
static void o9_while_the_agent_listens_nobody_else_is_the_proxy(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, AGENT, "127.0.0.1", PROXY_PORT);
    opens(f, CHILD, "::", PROXY_PORT);
    assert_true(is_led(f, CHILD));
    assert_int_equal(COUNTER(f, proxy_connections), 0);
}

static void o9_reflected_connections_reach_the_proxy_on_every_address(void **state)
{
    struct engine_config config = machine_config();
    config.reflect = true;
    struct fixture *f = without_agent(state, config);
    opens(f, PROXY, "10.0.0.1", PROXY_PORT);
    assert_false(is_led(f, PROXY));
    assert_true(is_led(f, ROOT));
}

static void o9_i3_what_goes_to_another_listener_of_a_proxy_passes(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    struct tuple page = tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", 8888);
    struct tuple other = tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", 8889);
    opens(f, PROXY, "127.0.0.1", PROXY_PORT);
    opens(f, PROXY, "127.0.0.1", 8888);
    opens(f, STRANGER, "127.0.0.1", 8889);
    f->loopback = true;
    connects(f, ROOT, &page);
    assert_int_equal(send_syn(f, &page, 100), VERDICT_PASS);
    connects(f, ROOT, &other);
    assert_int_equal(send_syn(f, &other, 100), VERDICT_REWRITE);
}

/* Its connection to the program has to reach it; a restarted one's, too. */
static void o9_n2_the_incoming_proxy_reaches_the_listeners_of_the_tree(void **state)
{
    struct fixture *f = without_agent(state, machine_config());
    opens(f, ROOT, "0.0.0.0", 80);
    f->loopback = true;
    for (uint32_t pid = PROXY; pid <= SUCCESSOR; pid += SUCCESSOR - PROXY) {
        struct tuple t = tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", 80);
        struct tuple strangers = tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", 80);
        opens(f, pid, "0.0.0.0", INCOMING_PORT);
        connects(f, pid, &t);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
        connects(f, STRANGER, &strangers);
        assert_int_equal(send_syn(f, &strangers, 100), VERDICT_REWRITE);
        closes(f, pid, "0.0.0.0", INCOMING_PORT);
    }
}

static void o9_an_upstream_of_the_tree_is_spared_and_followed(void **state)
{
    struct fixture *f = with_upstream(state, "10.0.0.1");
    assert_true(is_led(f, PROXY));
    opens(f, PROXY, "10.0.0.1", UPSTREAM_PORT);
    assert_false(is_led(f, PROXY));
    assert_true(is_led(f, CHILD));
    closes(f, PROXY, "10.0.0.1", UPSTREAM_PORT);
    assert_true(is_led(f, PROXY));
    opens(f, SUCCESSOR, "0.0.0.0", UPSTREAM_PORT);
    assert_false(is_led(f, SUCCESSOR));
    opens(f, CHILD, "10.0.0.1", UPSTREAM_PORT + 1);
    opens(f, ROOT, "10.0.0.2", UPSTREAM_PORT);
    assert_true(is_led(f, CHILD));
    assert_true(is_led(f, ROOT));
    assert_int_equal(COUNTER(f, proxy_connections), 2);
}

static void o9_an_upstream_without_an_address_is_whoever_listens_on_the_port(void **state)
{
    struct fixture *f = with_upstream(state, "0.0.0.0");
    opens(f, PROXY, "10.0.0.1", UPSTREAM_PORT);
    opens(f, SUCCESSOR, "0.0.0.0", UPSTREAM_PORT);
    assert_false(is_led(f, PROXY));
    assert_false(is_led(f, SUCCESSOR));
    assert_true(is_led(f, CHILD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(o9_a_proxy_of_the_tree_is_spared_and_the_others_are_not),
        WITH_MACHINE(o9_a_proxy_that_is_restarted_is_followed),
        WITH_MACHINE(o9_a_successor_whose_listen_is_late_or_lost_is_spared_too),
        WITH_MACHINE(o9_two_on_one_address_are_both_spared),
        WITH_MACHINE(o9_who_is_not_reached_is_no_proxy),
        WITH_MACHINE(o9_a_wildcard_is_as_good_where_nobody_is_bound_more_exactly),
        WITH_MACHINE(o9_while_the_agent_listens_nobody_else_is_the_proxy),
        WITH_MACHINE(o9_reflected_connections_reach_the_proxy_on_every_address),
        WITH_MACHINE(o9_i3_what_goes_to_another_listener_of_a_proxy_passes),
        WITH_MACHINE(o9_n2_the_incoming_proxy_reaches_the_listeners_of_the_tree),
        WITH_MACHINE(o9_an_upstream_of_the_tree_is_spared_and_followed),
        WITH_MACHINE(o9_an_upstream_without_an_address_is_whoever_listens_on_the_port),
    };
    return cmocka_run_group_tests_name("engine_proxies", tests, NULL, NULL);
}
