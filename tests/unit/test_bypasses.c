/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Each way around the proxy is counted, and told of when it lasts (S9): the rows of docs/bypasses.md that no other test
 * shows.
 */
#include "machine.h"

#include "engine/tcp_table.h"

enum { CHECK_MS = 5000, PORT = 3000 };

static struct tuple next_tuple(struct fixture *f)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(fresh_port(f));
    return t;
}

/* Checks of the engine's, with something between them each time. */
static void checks(struct fixture *f, int count, void (*between)(struct fixture *f))
{
    for (int i = 0; i < count; i++) {
        between(f);
        pass_time(f, CHECK_MS);
    }
}

static void loses_an_event(struct fixture *f)
{
    struct tuple t = next_tuple(f);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_int_equal(held_now(f), 0);
}

static void s9_an_owner_that_stays_unknown(void **state)
{
    struct fixture *f = *state;
    checks(f, 1, loses_an_event);
    assert_int_equal(f->world.bypassed[BYPASS_OWNER_UNKNOWN], 0); /* a stranger's, or a mishap */
    checks(f, 20, loses_an_event);
    assert_int_equal(COUNTER(f, hold_timeouts), 21);
    assert_in_range(f->world.bypassed[BYPASS_OWNER_UNKNOWN], 2, 3); /* once a minute */
    assert_in_range(f->world.bypassed_connections[BYPASS_OWNER_UNKNOWN], 10, 21);
    f->world.bypassed[BYPASS_OWNER_UNKNOWN] = 0;
    pass_time(f, 60000);
    pass_time(f, 60000);
    assert_int_equal(f->world.bypassed[BYPASS_OWNER_UNKNOWN], 0); /* it does not last */
}

static void connects_and_is_gone(struct fixture *f)
{
    struct tuple t = next_tuple(f);
    connects(f, 4444, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

static void s9_a_process_that_is_gone_and_unknown(void **state)
{
    struct fixture *f = *state;
    checks(f, 2, connects_and_is_gone);
    assert_int_equal(COUNTER(f, processes_unknown), 2);
    assert_int_equal(f->world.bypassed[BYPASS_PROCESS_UNKNOWN], 1);
    struct tuple t = next_tuple(f);
    process_ends(f, STRANGER);
    connects(f, ROOT, &t); /* known by the kernel's word */
    assert_int_equal(COUNTER(f, processes_unknown), 2);
}

static void finds_no_answer(struct fixture *f)
{
    struct tuple t = next_tuple(f);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    pass_time(f, TCP_TABLE_PATIENCE_MS);
    assert_int_equal(held_now(f), 0);
}

static void s9_a_table_that_does_not_answer(void **state)
{
    struct fixture *f = *state;
    f->world.slow = true;
    checks(f, 2, finds_no_answer);
    assert_int_equal(COUNTER(f, table_timeouts), 2);
    assert_int_equal(f->world.bypassed[BYPASS_TABLE_LATE], 1);
}

static void s9_more_than_can_wait(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < PENDING_HELD_MAX; i++) {
        struct tuple t = next_tuple(f);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    }
    struct tuple t = next_tuple(f);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, hold_overflows), 1);
    pass_time(f, CHECK_MS);
    assert_int_equal(f->world.bypassed[BYPASS_HELD_FULL], 1); /* at once */
    assert_int_equal(f->world.bypassed_connections[BYPASS_HELD_FULL], 1);
}

static void s9_more_than_there_are_flows(void **state)
{
    struct engine_config config = machine_config();
    config.max_flows = 1;
    struct fixture *f = machine_renew(state, &config);
    struct tuple t = next_tuple(f), next = next_tuple(f);
    redirected(f, ROOT, &t, 100);
    connects(f, ROOT, &next);
    assert_int_equal(send_syn(f, &next, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, flow_table_full), 1);
    pass_time(f, CHECK_MS);
    assert_int_equal(f->world.bypassed[BYPASS_FLOWS_FULL], 1);
}

static void s9_more_than_there_is_room_for_listeners(void **state)
{
    struct fixture *f = *state;
    uint32_t room = LISTENERS_MAX - engine_of(f)->listeners.count;
    for (uint32_t i = 0; i < room; i++) {
        listens(f, STRANGER, "127.0.0.1", (uint16_t)(10000 + i));
    }
    assert_int_equal(COUNTER(f, listener_overflows), 0);
    opens(f, ROOT, "0.0.0.0", PORT);
    assert_int_equal(COUNTER(f, listener_overflows), 1);
    listens(f, STRANGER, "0.0.0.0", PORT + 1); /* by the table */
    assert_int_equal(COUNTER(f, listener_overflows), 2);
    pass_time(f, CHECK_MS);
    assert_int_equal(f->world.bypassed[BYPASS_LISTENERS_FULL], 1);
}

static void s9_a_proxy_that_does_not_listen(void **state)
{
    struct engine_config config = machine_config();
    struct fixture *f = machine_renew_bare(state, &config);
    struct tuple t = next_tuple(f), in = from_peer(f, "10.0.0.1", PORT);
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    opens(f, ROOT, "0.0.0.0", PORT);
    assert_int_equal(syn_arrives(f, &in, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, proxy_not_listening), 2);
    assert_int_equal(f->world.warned, 1);
}

/* Meant, and counted: to the agent, and within the machine. */
static void s9_what_is_meant_to_pass_is_counted(void **state)
{
    struct engine_config config = machine_config();
    struct fixture *f = *state;
    opens(f, AGENT, "127.0.0.1", PORT);
    struct tuple t = tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", PORT);
    f->loopback = true;
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, agent_connections), 1);
    config.no_loopback = true;
    f = machine_renew(state, &config);
    f->loopback = true;
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(COUNTER(f, loopback_passed), 1);
    pass_time(f, CHECK_MS);
    for (int way = 0; way < BYPASSES; way++) {
        assert_int_equal(f->world.bypassed[way], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(s9_an_owner_that_stays_unknown),  WITH_MACHINE(s9_a_process_that_is_gone_and_unknown),
        WITH_MACHINE(s9_a_table_that_does_not_answer), WITH_MACHINE(s9_more_than_can_wait),
        WITH_MACHINE(s9_more_than_there_are_flows),    WITH_MACHINE(s9_more_than_there_is_room_for_listeners),
        WITH_MACHINE(s9_a_proxy_that_does_not_listen), WITH_MACHINE(s9_what_is_meant_to_pass_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
