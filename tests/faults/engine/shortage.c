/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine without memory: at each request that it makes, one after the other.
 *
 * A life of an engine (made, told of processes, given rules, a connection redirected) is lived again and again, and the
 * Nth malloc(), calloc() or realloc() in it fails, for N = 1 and on, until one passes without; then all requests from
 * the Nth on. engine_new() may say no; what it made must work: later shortages may only mean that a connection passes.
 * AddressSanitizer watches over the rest: what is left behind, and what is used though it was not there.
 *
 * Built with -Wl,--wrap (build.sh); the last line says what was found.
 */
#include "machine.h"

#include <stdio.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

enum { LIVES_MAX = 500, CHILDREN = 20, FIRST_CHILD = 3000, RULES_TRIED = 3, SYN_ISN = 100 };

static unsigned requests, fail_at, fail_times;
static bool counting; /* only what the engine asks for */

static bool refused(void)
{
    return counting && ++requests >= fail_at && requests - fail_at < fail_times;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return refused() ? NULL : __real_realloc(block, size);
}

static struct engine *engine_made(struct fixture *f)
{
    struct engine_config config = fixture_config();
    struct engine_host host = world_host(&f->world, WORLD_WITHOUT_TABLES);
    counting = true;
    struct engine *e = engine_new(&config, &host);
    counting = false;
    return e;
}

/* The members of the tree are what an engine asks memory for while it works. */
static void tell_processes(struct fixture *f)
{
    counting = true;
    engine_process(f->world.engine, (struct process_id){ROOT, 200});
    for (uint32_t i = 0; i < CHILDREN; i++) {
        engine_process(f->world.engine, (struct process_id){FIRST_CHILD + 4 * i, 1000 + i});
    }
    counting = false;
    listens(f, AGENT, "127.0.0.1", PROXY_PORT);
}

static void give_rules(struct fixture *f)
{
    counting = true;
    struct rules *rules = rules_new();
    for (int i = 0; rules && i < RULES_TRIED; i++) {
        rules_add(rules, &(struct rule){.program = "nobody*.exe"});
    }
    counting = false;
    if (rules) {
        engine_set_rules(f->world.engine, rules);
    }
}

/* One life; what became of it. */
enum life { REFUSED, PASSED, REDIRECTED };

static enum life live(void)
{
    struct engine_config config = fixture_config();
    struct fixture *f = fixture_new(&config);
    struct tuple t = tuple4();
    enum life life = REFUSED;
    requests = 0;
    struct engine *engine = engine_made(f), *spare = f->world.engine;
    if (engine) {
        f->world.engine = engine;
        world_capture_all(engine);
        tell_processes(f);
        give_rules(f);
        connects(f, ROOT, &t);
        counting = true;
        enum verdict verdict = send_syn(f, &t, SYN_ISN);
        counting = false;
        assert_true(verdict == VERDICT_REWRITE || verdict == VERDICT_PASS || verdict == VERDICT_HOLD);
        life = verdict == VERDICT_REWRITE ? REDIRECTED : PASSED;
        engine_stop(f->world.engine, true, f->world.now);
        engine_free(f->world.engine);
        f->world.engine = spare;
    }
    fixture_free(f);
    return life;
}

/* Every life there is, until one in which nothing was refused. */
static void each_request(unsigned times, unsigned counts[3])
{
    fail_times = times;
    for (fail_at = 1; fail_at < LIVES_MAX; fail_at++) {
        enum life life = live();
        if (requests < fail_at) {
            assert_int_equal(life, REDIRECTED);
            return;
        }
        counts[life]++;
    }
    fail_msg("more than %d requests", LIVES_MAX);
}

static void shortage(void **state)
{
    unsigned one[3] = {0}, all[3] = {0};
    (void)state;
    each_request(1, one);
    each_request(1u << 30, all);
    assert_true(one[REFUSED] > 0 && all[REFUSED] > 0 && one[REDIRECTED] > 0);
    printf(
        "%u requests; one refused: engine_new() says no %u times, else the connection is redirected %u and passes %u "
        "times; all from there on: no %u, redirected %u, passes %u\n",
        fail_at - 1, one[REFUSED], one[REDIRECTED], one[PASSED], all[REFUSED], all[REDIRECTED], all[PASSED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shortage)};
    return cmocka_run_group_tests_name("shortage", tests, NULL, NULL);
}
