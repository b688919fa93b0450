/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The list of live flows (S6), and roots that are themselves not redirected. */
#include "engine_fixture.h"

#include "engine/flow_list.h"

static struct flow_view views[FLOW_LIST_SLOTS];

static uint32_t list_all(struct fixture *f)
{
    uint32_t count;
    assert_int_equal(engine_list_flows(f->world.engine, 0, views, &count), FLOW_NONE);
    return count;
}

static void s6_nothing_is_listed_where_nothing_is(void **state)
{
    struct fixture *f = *state;
    uint32_t count = 7;
    assert_int_equal(engine_list_flows(f->world.engine, 0, views, &count), FLOW_NONE);
    assert_int_equal(count, 0);
    struct tuple t = tuple4();
    connects(f, STRANGER, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(list_all(f), 0);
}

static void s6_a_flow_is_listed_with_all_there_is_to_know(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple6();
    uint64_t opened = f->world.now;
    struct tuple steered = redirected(f, CHILD, &t, 100);
    pass_time(f, 1234);
    assert_int_equal(list_all(f), 1);
    assert_int_equal(views[0].state, FLOW_OPENING);
    assert_int_equal(views[0].packets[LEG_REPLY], 0);

    hand_shake(f, &t, &steered);
    struct segment data = ack_of(&t, 101, 501);
    data.payload = 300;
    assert_int_equal(send_segment(f, data), VERDICT_REWRITE);
    assert_int_equal(list_all(f), 1);
    assert_true(tuple_equal(&views[0].original, &t));
    assert_true(ip_addr_equal(&views[0].peer, &steered.src));
    assert_int_equal(views[0].peer_port, source_port(&steered));
    assert_int_equal(views[0].kind, FLOW_OUTGOING);
    assert_int_equal(views[0].state, FLOW_OPEN);
    assert_int_equal(views[0].pid, CHILD);
    assert_int_equal(views[0].bytes[LEG_FORWARD], 300);
    assert_int_equal(views[0].bytes[LEG_REPLY], 0);
    assert_int_equal(views[0].packets[LEG_FORWARD], 3);
    assert_int_equal(views[0].packets[LEG_REPLY], 1);
    assert_int_equal(views[0].opened_ms, opened);
}

static void s6_a_closing_flow_is_listed_and_an_ended_one_is_not(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    established(f, &t);
    assert_int_equal(send_segment(f, (struct segment){.tuple = t, .seq = 101, .flags = TCP_RST}), VERDICT_REWRITE);
    assert_int_equal(list_all(f), 1);
    assert_int_equal(views[0].state, FLOW_CLOSING);
    pass_time(f, FLOW_LINGER_RST_MS);
    assert_int_equal(list_all(f), 0);
}

static void s6_a_direct_connection_to_the_proxy_is_not_listed(void **state)
{
    struct fixture *f = *state;
    f->loopback = true;
    struct tuple t = tuple_of("127.0.0.1", 40000, "127.0.0.1", PROXY_PORT);
    connects(f, STRANGER, &t);
    send_syn(f, &t, 100);
    assert_int_equal(list_all(f), 0);
}

/* More flows than fit into one portion, with holes among them: each is told of exactly once. */
static void s6_a_long_list_comes_in_portions(void **state)
{
    enum { FLOWS = 2 * FLOW_LIST_SLOTS + 50, HOLES = 40 };
    struct engine_config config = fixture_config();
    config.max_flows = 4096;
    struct fixture *f = fixture_renew(state, &config);
    static bool seen[FLOWS];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < FLOWS; i++) {
        struct tuple t = tuple_of("10.0.0.1", (uint16_t)(20000 + i), "93.184.216.34", 443);
        redirected(f, ROOT, &t, 100);
        if (i % (FLOWS / HOLES) == 0) {
            send_segment(f, (struct segment){.tuple = t, .seq = 101, .flags = TCP_RST});
        }
    }
    pass_time(f, FLOW_LINGER_RST_MS);
    uint32_t count, total = 0;
    for (uint32_t from = 0; from != FLOW_NONE;) {
        uint32_t next = engine_list_flows(f->world.engine, from, views, &count);
        assert_true(count <= FLOW_LIST_SLOTS);
        for (uint32_t i = 0; i < count; i++, total++) {
            uint32_t number = be16_to_host(views[i].original.src_port) - 20000u;
            assert_true(number < FLOWS && !seen[number]);
            seen[number] = true;
        }
        assert_true(next == FLOW_NONE || next == from + FLOW_LIST_SLOTS);
        from = next;
    }
    assert_int_equal(total, f->world.engine->redirected_live);
    assert_true(total < FLOWS && total > FLOWS - 2 * HOLES);
}

static void s6_a_list_that_goes_on_after_the_table_has_ended_is_empty(void **state)
{
    struct fixture *f = *state;
    uint32_t count = 7;
    assert_int_equal(engine_list_flows(f->world.engine, 100000, views, &count), FLOW_NONE);
    assert_int_equal(count, 0);
}

/* ---- roots ---- */

static bool redirects(struct fixture *f, uint32_t pid)
{
    struct tuple t = tuple4();
    t.src_port = be16_from_host(fresh_port(f));
    connects(f, pid, &t);
    return send_syn(f, &t, 100) == VERDICT_REWRITE;
}

static void a_spared_root_passes_and_its_descendants_are_redirected(void **state)
{
    struct fixture *f = *state;
    engine_exclude_root(f->world.engine, (struct process_id){ROOT, 200});
    assert_false(redirects(f, ROOT));
    assert_true(redirects(f, CHILD));
    engine_process(f->world.engine, (struct process_id){ROOT, 200}); /* the job tells of it, too */
    assert_false(redirects(f, ROOT));
    process_ends(f, ROOT);
    engine_process_exited(f->world.engine, (struct process_id){ROOT, 200}, 0, f->world.now);
    assert_false(redirects(f, ROOT)); /* a CONNECT that came late */
    assert_true(redirects(f, CHILD));
    process_starts(f, 1008, 400, CHILD, 300);
    assert_true(redirects(f, 1008));
}

/* I2: what is spared is a process, not a number. */
static void a_member_with_the_pid_of_a_spared_root_is_redirected(void **state)
{
    struct fixture *f = *state;
    engine_exclude_root(f->world.engine, (struct process_id){ROOT, 200});
    assert_true(redirects(f, CHILD));
    process_ends(f, ROOT);
    engine_process_exited(f->world.engine, (struct process_id){ROOT, 200}, 0, f->world.now);
    process_starts(f, ROOT, 900, CHILD, 300);
    assert_true(redirects(f, ROOT));
    process_ends(f, ROOT);
    process_starts(f, ROOT, 950, STRANGER, 400);
    assert_false(redirects(f, ROOT));
}

/* The same, when it is the job that tells of the new process. */
static void the_job_tells_of_a_member_with_the_pid_of_a_spared_root(void **state)
{
    struct fixture *f = *state;
    engine_exclude_root(f->world.engine, (struct process_id){ROOT, 200});
    process_ends(f, ROOT);
    engine_process_exited(f->world.engine, (struct process_id){ROOT, 200}, 0, f->world.now);
    process_starts(f, ROOT, 900, 4, 1);
    engine_process(f->world.engine, (struct process_id){ROOT, 900});
    assert_true(redirects(f, ROOT));
}

/* I4 */
static void a_rule_includes_a_spared_root(void **state)
{
    struct fixture *f = *state;
    engine_exclude_root(f->world.engine, (struct process_id){ROOT, 200});
    struct rules *rules = rules_new();
    assert_non_null(rules);
    assert_null(rules_add(rules, &(struct rule){.action = RULE_REDIRECT, .pid = ROOT}));
    engine_set_rules(f->world.engine, rules);
    assert_true(redirects(f, ROOT));
    engine_set_rules(f->world.engine, NULL);
    assert_false(redirects(f, ROOT));
}

/* I3 */
static void an_agent_among_the_roots_passes_and_its_descendants_are_redirected(void **state)
{
    struct fixture *f = *state;
    engine_exclude_root(f->world.engine, (struct process_id){AGENT, 100});
    process_starts(f, 1016, 500, AGENT, 100);
    assert_false(redirects(f, AGENT));
    assert_true(redirects(f, 1016));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(s6_nothing_is_listed_where_nothing_is),
        WITH_ENGINE(s6_a_flow_is_listed_with_all_there_is_to_know),
        WITH_ENGINE(s6_a_closing_flow_is_listed_and_an_ended_one_is_not),
        WITH_ENGINE(s6_a_direct_connection_to_the_proxy_is_not_listed),
        WITH_ENGINE(s6_a_long_list_comes_in_portions),
        WITH_ENGINE(s6_a_list_that_goes_on_after_the_table_has_ended_is_empty),
        WITH_ENGINE(a_spared_root_passes_and_its_descendants_are_redirected),
        WITH_ENGINE(a_member_with_the_pid_of_a_spared_root_is_redirected),
        WITH_ENGINE(the_job_tells_of_a_member_with_the_pid_of_a_spared_root),
        WITH_ENGINE(a_rule_includes_a_spared_root),
        WITH_ENGINE(an_agent_among_the_roots_passes_and_its_descendants_are_redirected),
    };
    return cmocka_run_group_tests_name("engine: list and roots", tests, NULL, NULL);
}
