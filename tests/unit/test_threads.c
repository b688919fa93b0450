/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What public calls do on any thread while the engine's thread works: looking up, forgetting and reading the counters,
 * from eight threads at once, while connections come, carry data and go. (test_destinations.c has the map alone.) Run
 * under ThreadSanitizer, too.
 */
#include "engine_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, CONNECTIONS = 16, FIRST_PORT = 50000, CALLS = 200000 };

static struct {
    const struct engine *engine;
    atomic_bool stop;
    atomic_uint calls, found, forgotten, wrong;
} all;

/* Where the n-th connection goes: its port stands in its address, so that a mixture of two mappings can be told. */
static struct tuple tuple_at(uint16_t port, uint16_t n)
{
    struct tuple t = tuple_of("10.0.0.1", port, "93.184.0.0", n ? n : 1);
    memcpy(t.dst.bytes + 14, &t.dst_port, 2);
    return t;
}

static void check_found(const struct destination *d, uint16_t port)
{
    struct tuple want = tuple_at(port, d->port);
    bool right = d->family == want.family && !d->incoming && d->pid == ROOT && ip_addr_equal(&d->address, &want.dst);
    atomic_fetch_add(&all.wrong, !right);
}

static bool is_odd(const struct destination *value, const void *context)
{
    (void)context;
    return value->port & 1;
}

static uint64_t read_counters(const struct engine *e)
{
    const struct engine_counters *c = engine_counters(e);
    uint64_t sum = 0;
#define ADD(name) sum += atomic_load_explicit(&c->name, memory_order_relaxed);
    ENGINE_COUNTERS(ADD)
#undef ADD
    return sum;
}

static void *call_on(void *argument)
{
    struct rng r = rng_seeded((uintptr_t)argument);
    struct destinations *map = engine_destinations(all.engine);
    uint64_t seen = 0;
    while (!atomic_load(&all.stop)) {
        uint16_t port = (uint16_t)(FIRST_PORT + rng_below(&r, CONNECTIONS));
        struct destination d;
        switch (rng_below(&r, 8)) {
        case 0:
            atomic_fetch_add(&all.forgotten, destinations_delete(map, port, is_odd, NULL));
            break;
        case 1: { /* they only grow, but for flows_live */
            uint64_t sum = read_counters(all.engine);
            atomic_fetch_add(&all.wrong, sum + CONNECTIONS < seen);
            seen = sum;
            break;
        }
        default:
            if (destinations_find(map, port, &d)) {
                atomic_fetch_add(&all.found, 1);
                check_found(&d, port);
            }
            break;
        }
        atomic_fetch_add(&all.calls, 1);
    }
    return NULL;
}

/* A connection from its event to its end. */
static void live_once(struct fixture *f, uint16_t port, uint32_t n)
{
    uint32_t isn = n * 1000;
    struct tuple t = tuple_at(port, (uint16_t)n), seen = redirected(f, ROOT, &t, isn), reply = tuple_reversed(&seen);
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, isn + 1)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, data_of(&t, isn + 1, 501, 100)), VERDICT_REWRITE);
    assert_int_equal(send_segment(f, rst_of(&t, isn + 101, 501)), VERDICT_REWRITE);
    if (n % CONNECTIONS == 0) {
        pass_time(f, FLOW_LINGER_RST_MS);
    }
}

static void eight_threads_make_every_call_that_any_thread_may_make(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    memset(&all, 0, sizeof all);
    all.engine = f->world.engine;
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, (void *)(i + 1)), 0);
    }
    for (uint32_t n = 1; atomic_load(&all.calls) < CALLS || !atomic_load(&all.found) || !atomic_load(&all.forgotten);
         n++) {
        live_once(f, (uint16_t)(FIRST_PORT + n % CONNECTIONS), n);
    }
    engine_stop(f->world.engine, true, f->world.now); /* under their eyes, as well */
    fixture_forget_injected(f);
    atomic_store(&all.stop, true);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(all.wrong, 0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        assert_true(maps_nothing(f, (uint16_t)(FIRST_PORT + i)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(eight_threads_make_every_call_that_any_thread_may_make),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
