/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The map that proxies read (L2): find, delete for good, and readers and deleters beside a writer who never waits. */
#include "packets.h"

#include "engine/destinations.h"

#include <pthread.h>
#include <stdatomic.h>

static struct destinations *map;

static int set_up(void **state)
{
    (void)state;
    map = destinations_new();
    return map ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    destinations_free(map);
    return 0;
}

/* A mapping in which every field follows from `n`, so that a torn copy gives itself away. */
static struct destination nth(uint32_t n)
{
    struct destination d = {.family = n % 2 ? FAMILY_IP6 : FAMILY_IP4, .port = (uint16_t)(n * 40503), .pid = n};
    d.incoming = n % 3 == 0;
    d.decision_id = n * 0x94d049bb133111ebu;
    for (int i = 0; i < 2; i++) {
        d.peer.words[i] = n * 0x9e3779b97f4a7c15u + (uint64_t)i;
        d.address.words[i] = n * 0xbf58476d1ce4e5b9u - (uint64_t)i;
    }
    return d;
}

static bool is_nth(const struct destination *d, uint32_t n)
{
    struct destination want = nth(n);
    return ip_addr_equal(&d->peer, &want.peer) && ip_addr_equal(&d->address, &want.address) && d->pid == n &&
           d->family == want.family && d->port == want.port && d->incoming == want.incoming &&
           d->decision_id == want.decision_id;
}

static bool finds(uint16_t port, uint32_t n)
{
    struct destination d;
    return destinations_find(map, port, &d) && is_nth(&d, n);
}

static bool misses(uint16_t port)
{
    struct destination d;
    return !destinations_find(map, port, &d);
}

static void publish(uint16_t port, uint32_t n)
{
    struct destination d = nth(n);
    destinations_publish(map, port, &d);
}

static void what_was_published_is_found_until_withdrawn(void **state)
{
    (void)state;
    for (uint32_t port = 0; port < 65536; port++) {
        assert_true(misses((uint16_t)port));
        publish((uint16_t)port, port + 1);
    }
    for (uint32_t port = 0; port < 65536; port++) {
        assert_true(finds((uint16_t)port, port + 1));
        destinations_withdraw(map, (uint16_t)port);
        assert_true(misses((uint16_t)port));
    }
}

static void a_later_mapping_replaces_the_earlier_one(void **state)
{
    (void)state;
    publish(80, 1);
    publish(80, 2);
    assert_true(finds(80, 2));
    destinations_withdraw(map, 80);
    destinations_withdraw(map, 80);
    assert_true(misses(80));
    publish(80, 3);
    assert_true(finds(80, 3));
}

static void l2_delete_is_for_good(void **state)
{
    (void)state;
    publish(80, 1);
    publish(81, 2);
    assert_true(destinations_delete(map, 80, NULL, NULL));
    assert_true(misses(80));
    assert_true(finds(81, 2)); /* and for one only */
    assert_false(destinations_delete(map, 80, NULL, NULL));
    destinations_withdraw(map, 80);
    assert_true(misses(80));
    publish(80, 3);
    assert_true(finds(80, 3)); /* a later connection on the same port */
}

static void l2_delete_of_nothing_deletes_nothing(void **state)
{
    (void)state;
    assert_false(destinations_delete(map, 80, NULL, NULL));
    publish(80, 1);
    destinations_withdraw(map, 80);
    assert_false(destinations_delete(map, 80, NULL, NULL));
}

static bool has_pid(const struct destination *value, const void *context)
{
    return value->pid == *(const uint32_t *)context;
}

static void l2_delete_asks_whether_it_is_the_right_one(void **state)
{
    (void)state;
    uint32_t wrong = 6, right = 7;
    publish(80, right);
    assert_false(destinations_delete(map, 80, has_pid, &wrong));
    assert_true(finds(80, right));
    assert_true(destinations_delete(map, 80, has_pid, &right));
    assert_true(misses(80));
}

/* While the deleter makes up his mind, the connection he looked at ends and another takes its port. */
static bool replace_meanwhile(const struct destination *value, const void *context)
{
    (void)value;
    publish(80, *(const uint32_t *)context);
    return true;
}

static void l2_delete_never_hits_a_later_connection(void **state)
{
    (void)state;
    uint32_t later = 9;
    publish(80, 8);
    assert_false(destinations_delete(map, 80, replace_meanwhile, &later));
    assert_true(finds(80, later));
}

/*
 * The hammer: one writer, two readers, two deleters, on three ports of which one is never deleted. What a reader finds must
 * be one whole mapping, and never an older one than it found before; what a deleter deleted, he must not find again.
 */
enum { PORTS = 3, KEPT = 2, READS = 1000000, DELETIONS = 5000 };

static struct {
    atomic_bool stop;
    atomic_uint torn, went_back, undone, found, deleted;
} hammer;

static void *read_on(void *arg)
{
    (void)arg;
    uint32_t last[PORTS] = {0};
    while (!atomic_load(&hammer.stop)) {
        for (uint16_t port = 0; port < PORTS; port++) {
            struct destination d;
            if (!destinations_find(map, port, &d)) {
                continue;
            }
            atomic_fetch_add(&hammer.found, 1);
            atomic_fetch_add(&hammer.torn, !is_nth(&d, d.pid));
            atomic_fetch_add(&hammer.went_back, d.pid < last[port]);
            last[port] = d.pid;
        }
    }
    return NULL;
}

static bool note_pid(const struct destination *value, const void *context)
{
    *(uint32_t *)(uintptr_t)context = value->pid;
    return true;
}

static void *delete_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&hammer.stop)) {
        for (uint16_t port = 0; port < KEPT; port++) {
            uint32_t pid = 0;
            struct destination d;
            if (destinations_delete(map, port, note_pid, &pid)) {
                atomic_fetch_add(&hammer.deleted, 1);
                atomic_fetch_add(&hammer.undone, destinations_find(map, port, &d) && d.pid <= pid);
            }
        }
    }
    return NULL;
}

static void l2_lookups_and_deletes_are_safe_from_any_thread(void **state)
{
    (void)state;
    memset(&hammer, 0, sizeof hammer);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? read_on : delete_on, NULL), 0);
    }
    /* On until both sides have met often enough, however slow the machine is. */
    for (uint32_t n = 1; atomic_load(&hammer.found) < READS || atomic_load(&hammer.deleted) < DELETIONS; n++) {
        for (uint16_t port = 0; port < PORTS; port++) {
            publish(port, n);
        }
        if (n % 5 == 0) {
            destinations_withdraw(map, n % KEPT);
        }
    }
    atomic_store(&hammer.stop, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(hammer.torn, 0);
    assert_int_equal(hammer.went_back, 0);
    assert_int_equal(hammer.undone, 0);
}

int main(void)
{
#define WITH_MAP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_MAP(what_was_published_is_found_until_withdrawn),
        WITH_MAP(a_later_mapping_replaces_the_earlier_one),
        WITH_MAP(l2_delete_is_for_good),
        WITH_MAP(l2_delete_of_nothing_deletes_nothing),
        WITH_MAP(l2_delete_asks_whether_it_is_the_right_one),
        WITH_MAP(l2_delete_never_hits_a_later_connection),
        WITH_MAP(l2_lookups_and_deletes_are_safe_from_any_thread),
    };
    return cmocka_run_group_tests_name("destinations", tests, NULL, NULL);
}
