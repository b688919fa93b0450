/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which sockets listen, and whose a connection reaches (needed for I3). */
#include "packets.h"

#include "engine/listeners.h"

enum { AGENT = 500, OTHER = 600 };

static struct listeners all;

static int set_up(void **state)
{
    (void)state;
    return listeners_init(&all) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    listeners_free(&all);
    return 0;
}

static struct tuple local(const char *address, uint16_t port)
{
    struct tuple t = {.src_port = be16_from_host(port)};
    t.src = address_of(address, &t.family);
    return t;
}

static void add(const char *address, uint16_t port, uint32_t pid)
{
    struct tuple t = local(address, port);
    listeners_add(&all, &t, pid, false, (struct listener_source){0});
}

static bool reaches(const char *address, uint16_t port, uint32_t pid)
{
    uint32_t family;
    address_of(address, &family);
    struct tuple t = tuple_of(family == FAMILY_IP4 ? "10.0.0.5" : "2001:db8::5", 50000, address, port);
    const struct listener *l = listeners_find(&all, &t);
    return l && l->pid == pid;
}

static void a_listener_is_reached_by_its_address_port_family_and_owner_only(void **state)
{
    (void)state;
    add("127.0.0.1", 8080, AGENT);
    assert_true(reaches("127.0.0.1", 8080, AGENT));
    assert_false(reaches("127.0.0.1", 8080, OTHER));
    assert_false(reaches("127.0.0.1", 8081, AGENT));
    assert_false(reaches("127.0.0.2", 8080, AGENT));
    assert_false(reaches("::ffff:127.0.0.1", 8080, AGENT));
    assert_false(reaches("::1", 8080, AGENT));
}

static void a_wildcard_listener_is_reached_by_any_address(void **state)
{
    (void)state;
    add("0.0.0.0", 8080, AGENT);
    assert_true(reaches("127.0.0.1", 8080, AGENT));
    assert_true(reaches("10.9.8.7", 8080, AGENT));
    assert_false(reaches("::1", 8080, AGENT)); /* IPv4 only */
    add("::", 9090, AGENT);
    assert_true(reaches("::1", 9090, AGENT));
    assert_true(reaches("10.9.8.7", 9090, AGENT)); /* dual-stack */
}

static void a_removed_listener_is_reached_no_more_and_others_still_are(void **state)
{
    (void)state;
    struct tuple first = local("127.0.0.1", 1);
    for (uint16_t port = 1; port <= 5; port++) {
        add("127.0.0.1", port, AGENT);
    }
    listeners_remove(&all, &first, OTHER); /* not his */
    assert_true(reaches("127.0.0.1", 1, AGENT));
    listeners_remove(&all, &first, AGENT);
    listeners_remove(&all, &first, AGENT);
    for (uint16_t port = 1; port <= 5; port++) {
        assert_int_equal(reaches("127.0.0.1", port, AGENT), port != 1);
    }
}

static void the_same_socket_twice_is_one(void **state)
{
    (void)state;
    struct tuple t = local("127.0.0.1", 1);
    add("127.0.0.1", 1, AGENT);
    add("127.0.0.1", 1, AGENT);
    listeners_remove(&all, &t, AGENT);
    assert_false(reaches("127.0.0.1", 1, AGENT));
}

static void beyond_the_bound_listeners_are_ignored(void **state)
{
    (void)state;
    for (uint32_t port = 1; port <= LISTENERS_MAX + 10; port++) {
        add("127.0.0.1", (uint16_t)port, AGENT);
    }
    assert_true(reaches("127.0.0.1", LISTENERS_MAX, AGENT));
    assert_false(reaches("127.0.0.1", LISTENERS_MAX + 1, AGENT));
}

/* Ports of three chains, some of which share theirs; against a table of which port has whose socket. */
static void what_comes_and_goes_in_any_order_leaves_the_others_as_they_are(void **state)
{
    (void)state;
    enum { PORTS = 12, OWNERS = 3, STEPS = 20000 };
    bool model[PORTS][OWNERS] = {{0}};
    uint32_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t which = random >> 8 & 0xffff, k = which % PORTS, owner = which / PORTS % OWNERS;
        uint16_t port = (uint16_t)(1 + k % 3 + k / 3 * LISTENER_CHAINS);
        struct tuple t = local("127.0.0.1", port);
        switch (random >> 28) {
        case 0:
            listeners_remove_others(&all, &t, AGENT + owner);
            for (uint32_t other = 0; other < OWNERS; other++) {
                model[k][other] = model[k][other] && other == owner;
            }
            break;
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
            assert_int_equal(listeners_remove(&all, &t, AGENT + owner), model[k][owner]);
            model[k][owner] = false;
            break;
        default:
            listeners_add(&all, &t, AGENT + owner, false, (struct listener_source){0});
            model[k][owner] = true;
        }
        uint32_t count = 0;
        for (k = 0; k < PORTS; k++) {
            struct tuple to =
                tuple_of("127.0.0.1", 50000, "127.0.0.1", (uint16_t)(1 + k % 3 + k / 3 * LISTENER_CHAINS));
            for (owner = 0; owner < OWNERS; owner++) {
                count += model[k][owner];
                assert_int_equal(listeners_serve(&all, &to, AGENT + owner), model[k][owner]);
            }
        }
        assert_int_equal(all.count, count);
    }
}

int main(void)
{
#define WITH_LISTENERS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LISTENERS(a_listener_is_reached_by_its_address_port_family_and_owner_only),
        WITH_LISTENERS(a_wildcard_listener_is_reached_by_any_address),
        WITH_LISTENERS(a_removed_listener_is_reached_no_more_and_others_still_are),
        WITH_LISTENERS(the_same_socket_twice_is_one),
        WITH_LISTENERS(what_comes_and_goes_in_any_order_leaves_the_others_as_they_are),
        WITH_LISTENERS(beyond_the_bound_listeners_are_ignored),
    };
    return cmocka_run_group_tests_name("listeners", tests, NULL, NULL);
}
