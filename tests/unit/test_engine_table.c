/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The TCP table answers late, in parts, or not at all; meanwhile packets and events go on (S10, O2, O8, N1, L1). */
#include "machine.h"

#include "engine/tcp_table.h"

enum { PORT = 3000, HALF_MS = HOLD_MS / 2 };

static struct fixture *slow(void **state)
{
    struct fixture *f = *state;
    f->world.slow = true;
    return f;
}

static bool answers(struct fixture *f)
{
    bool was_asked = world_table_answers(&f->world);
    world_settle(&f->world);
    check_balance(f);
    return was_asked;
}

static struct tuple within(struct fixture *f, uint16_t port)
{
    f->loopback = true;
    return tuple_of("127.0.0.1", fresh_port(f), "127.0.0.1", port);
}

/* A running flow, and strangers, are served while a SYN waits for its owner; then it leaves in its turn. */
static void o2_a_syn_waits_for_a_table_that_answers_late(void **state)
{
    struct fixture *f = slow(state);
    struct tuple other = tuple6(), first = tuple4(), second = tuple4(), stranger = tuple4();
    struct tuple steered = established(f, &other);
    first.src_port = be16_from_host(50003);
    second.src_port = be16_from_host(50001);
    stranger.src_port = be16_from_host(50002);
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &first, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &second, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    pass_time(f, HALF_MS); /* the hold time-out is over, but the answer is on its way */
    struct tuple reply = tuple_reversed(&steered);
    assert_int_equal(send_segment(f, data_of(&reply, 501, 101, 100)), VERDICT_REWRITE);
    connects(f, STRANGER, &stranger);
    assert_int_equal(send_syn(f, &stranger, 100), VERDICT_PASS);
    assert_int_equal(send_syn(f, &first, 100), VERDICT_DROP); /* a retransmission of what is held */
    assert_int_equal(held_now(f), 2);
    assert_true(answers(f));
    assert_int_equal(f->injected_count, 2);
    assert_true(maps(f, 50003, &first, ROOT) && maps(f, 50001, &second, ROOT));
    struct tuple left = tuple_in(f->injected[0]);
    assert_int_equal(source_port(&left), 50003);
    assert_int_equal(f->world.table_looks, 1); /* one for both */
    assert_int_equal(COUNTER(f, hold_timeouts), 0);
    assert_in_range(COUNTER(f, table_waits), 2, 2);
}

/* Its event comes first: it does not wait for the table any more. */
static void o2_an_event_is_quicker_than_the_table(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    connects_late(f, ROOT, &t); /* it happened before the SYN */
    assert_int_equal(f->injected_count, 1);
    assert_true(maps(f, 50000, &t, ROOT));
    f->world.owner = STRANGER;
    assert_true(answers(f)); /* nobody waits for that */
    assert_int_equal(f->injected_count, 1);
}

/* The table knows nothing: the SYN goes on waiting for its event, to its deadline. */
static void o2_what_the_table_does_not_know_keeps_its_deadline(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4(), late = tuple4();
    late.src_port = be16_from_host(50001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_int_equal(send_syn(f, &late, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    pass_time(f, 5);
    assert_true(answers(f));
    assert_int_equal(held_now(f), 2);
    connects_late(f, ROOT, &late);
    assert_true(maps(f, 50001, &late, ROOT));
    pass_time(f, HALF_MS - 6);
    assert_int_equal(held_now(f), 1);
    pass_time(f, 1);
    assert_int_equal(held_now(f), 0);
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
    assert_int_equal(COUNTER(f, table_timeouts), 0);
}

/* It never answers: nobody waits for ever, later ones do not wait for it at all, and what it says at last counts. */
static void o2_a_table_that_hangs_holds_nothing_for_long(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4(), later = tuple4();
    later.src_port = be16_from_host(50001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    pass_time(f, TCP_TABLE_PATIENCE_MS - 1);
    assert_int_equal(held_now(f), 1);
    pass_time(f, 1);
    assert_int_equal(held_now(f), 0);
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &t);
    assert_int_equal(COUNTER(f, table_timeouts), 1);
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
    assert_int_equal(send_syn(f, &later, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    pass_time(f, HALF_MS); /* the usual deadline */
    assert_int_equal(held_now(f), 0);
    assert_int_equal(COUNTER(f, table_timeouts), 2);
    opens(f, ROOT, "::", PORT);                      /* a doubt */
    assert_true(catches(f, "10.0.0.1", PORT, ROOT)); /* by what is known */
    assert_int_equal(COUNTER(f, table_timeouts), 3);
    closes(f, ROOT, "::", PORT);
    assert_true(answers(f)); /* it comes back */
    f->world.slow = false;
    assert_false(catches(f, "10.0.0.1", PORT, ROOT));
}

/* A reading tells of the past: a SYN that comes while it is under way is answered by the next one. */
static void o2_a_reading_answers_only_whoever_came_before_it(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4(), later = tuple4();
    later.src_port = be16_from_host(50001);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    assert_int_equal(send_syn(f, &later, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    f->world.owner = ROOT; /* for the second reading */
    assert_int_equal(f->world.table_looks, 1);
    assert_true(answers(f));
    assert_int_equal(held_now(f), 1);
    assert_int_equal(f->world.table_looks, 2);
    assert_true(answers(f));
    assert_int_equal(held_now(f), 0);
    assert_true(maps(f, 50001, &later, ROOT));
    assert_true(maps_nothing(f, 50000)); /* it was not known in time */
    assert_int_equal(COUNTER(f, hold_timeouts), 1);
}

/* A listener that opened while the table was read is not dropped because the table does not have it. */
static void n1_what_an_event_tells_is_newer_than_a_reading_under_way(void **state)
{
    struct fixture *f = slow(state);
    engine_want_listeners(engine_of(f));
    world_settle(&f->world);
    opens(f, ROOT, "0.0.0.0", PORT);
    assert_true(answers(f));
    assert_true(catches(f, "10.0.0.1", PORT, ROOT));
}

/* And one that closed meanwhile, which the table still has, is asked about once more before anything is decided. */
static void n1_what_a_reading_under_way_still_has_is_in_doubt(void **state)
{
    struct fixture *f = slow(state);
    opens(f, ROOT, "0.0.0.0", PORT);
    engine_want_listeners(engine_of(f));
    world_settle(&f->world);
    closes(f, ROOT, "0.0.0.0", PORT);
    assert_true(answers(f));
    struct tuple t = from_peer(f, "10.0.0.1", PORT);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_HOLD);
    assert_true(answers(f));
    assert_int_equal(held_now(f), 0);
    assert_tuple(f->injected[f->injected_count - 1], &t);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

/* The same for one that was not known yet when it closed. */
static void n1_a_listener_that_closes_before_it_is_known_does_not_stay(void **state)
{
    struct fixture *f = slow(state);
    listens_unheard(f, ROOT, "0.0.0.0", PORT);
    engine_want_listeners(engine_of(f));
    world_settle(&f->world);
    closes(f, ROOT, "0.0.0.0", PORT);
    assert_true(answers(f));
    f->world.slow = false;
    assert_false(catches(f, "10.0.0.1", PORT, ROOT));
}

/* A connection to one's own listener is decided when the table has said that it is one. Others do not wait. */
static void o8_a_connection_to_an_own_listener_waits_for_the_table(void **state)
{
    struct fixture *f = slow(state);
    listens_unheard(f, ROOT, "127.0.0.1", PORT); /* its event is lost */
    f->world.now += 2000;
    struct tuple t = within(f, PORT), other = tuple4();
    connects(f, ROOT, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    f->loopback = false;
    redirected(f, ROOT, &other, 100);
    assert_true(answers(f));
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &t);
    assert_int_equal(COUNTER(f, self_connections), 1);
    assert_int_equal(send_segment(f, syn_of(&t, 100)), VERDICT_PASS); /* sent again */
}

/* In doubt whether who connects serves as the proxy: the SYN waits, and the doubt's end decides. */
static void o9_a_connection_of_who_may_be_the_proxy_waits_for_the_table(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4(), before = tuple6();
    closes(f, AGENT, "127.0.0.1", PROXY_PORT);
    closes(f, AGENT, "::1", PROXY_PORT);
    listens_unheard(f, CHILD, "127.0.0.1", PROXY_PORT); /* the agent's successor, a program of the tree */
    connects(f, CHILD, &before);                        /* judged in doubt, and the doubt ends before its SYN comes */
    engine_want_listeners(engine_of(f));
    world_settle(&f->world);
    assert_true(answers(f));
    assert_int_equal(send_syn(f, &before, 100), VERDICT_PASS);
    opens(f, STRANGER, "::", PORT); /* a new doubt */
    connects(f, CHILD, &t);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    assert_true(answers(f));
    assert_int_equal(f->injected_count, 1);
    assert_tuple(f->injected[0], &t); /* no loop */
    assert_int_equal(COUNTER(f, flows_total), 0);
}

/* Half a table proves nothing: what was known counts, and the next SYN asks again. */
static void o8_a_table_that_fails_decides_nothing(void **state)
{
    struct fixture *f = slow(state);
    opens(f, ROOT, "::", PORT);
    f->world.listening.fails = true;
    struct tuple t = from_peer(f, "2001:db8::1", PORT), again = from_peer(f, "2001:db8::1", PORT);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_HOLD);
    assert_true(answers(f));
    assert_true(maps_incoming(f, source_port(&t), &t, ROOT));
    f->world.listening.fails = false;
    assert_int_equal(syn_arrives(f, &again, 100), VERDICT_HOLD); /* still in doubt */
    assert_true(answers(f));
    assert_true(maps_incoming(f, source_port(&again), &again, ROOT));
    assert_int_equal(syn_arrives(f, &(struct tuple){0}, 100), VERDICT_PASS);
}

/* What opens while all sockets are read cannot be in the table, and is not missed. */
static void l1_a_flow_that_opens_during_a_reading_is_not_missed(void **state)
{
    struct fixture *f = *state;
    struct tuple first = tuple6(), t = tuple4();
    established(f, &first);
    for (int i = 0; i < 3; i++) {
        f->world.slow = true;
        pass_time(f, SCAN_MS);
        pass_time(f, 1);
        if (i == 0) {
            established(f, &t);
        }
        assert_true(answers(f));
        assert_int_equal(flow_at(&engine_of(f)->flows, 1)->missed, i);
    }
    assert_int_equal(f->world.flows_ended, 2); /* both are lost, each after two scans that could have found it */
}

/* stop does not wait for it, and what comes later is of no interest. */
static void s2_a_stop_while_the_table_is_read(void **state)
{
    struct fixture *f = slow(state);
    struct tuple t = tuple4();
    f->world.owner = ROOT;
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HALF_MS);
    engine_stop(engine_of(f), true, f->world.now);
    assert_int_equal(held_now(f), 0);
    assert_tuple(f->injected[0], &t);
    assert_true(world_table_answers(&f->world));
    engine_read_table(engine_of(f), f->world.now);
    assert_int_equal(f->injected_count, 1);
    assert_int_equal(COUNTER(f, flows_total), 0);
}

/* As many as can be held wait for one reading; what finds no room is decided by what is known. */
static void s10_more_than_can_be_held_wait_for_no_table(void **state)
{
    struct fixture *f = slow(state);
    opens(f, ROOT, "::", PORT);
    opens(f, ROOT, "0.0.0.0", PORT);
    for (int i = 0; i < PENDING_HELD_MAX; i++) {
        struct tuple t = from_peer(f, "10.0.0.1", PORT);
        assert_int_equal(syn_arrives(f, &t, 100), VERDICT_HOLD);
    }
    struct tuple t = from_peer(f, "10.0.0.1", PORT);
    assert_int_equal(syn_arrives(f, &t, 100), VERDICT_REWRITE);
    assert_int_equal(COUNTER(f, hold_overflows), 0);
    assert_true(answers(f)); /* the first one: it alone was there when this reading began */
    assert_int_equal(held_now(f), PENDING_HELD_MAX - 1);
    assert_true(answers(f));
    assert_int_equal(held_now(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(o2_a_syn_waits_for_a_table_that_answers_late),
        WITH_MACHINE(o2_an_event_is_quicker_than_the_table),
        WITH_MACHINE(o2_what_the_table_does_not_know_keeps_its_deadline),
        WITH_MACHINE(o2_a_table_that_hangs_holds_nothing_for_long),
        WITH_MACHINE(o2_a_reading_answers_only_whoever_came_before_it),
        WITH_MACHINE(n1_what_an_event_tells_is_newer_than_a_reading_under_way),
        WITH_MACHINE(n1_what_a_reading_under_way_still_has_is_in_doubt),
        WITH_MACHINE(n1_a_listener_that_closes_before_it_is_known_does_not_stay),
        WITH_MACHINE(o8_a_connection_to_an_own_listener_waits_for_the_table),
        WITH_MACHINE(o9_a_connection_of_who_may_be_the_proxy_waits_for_the_table),
        WITH_MACHINE(o8_a_table_that_fails_decides_nothing),
        WITH_MACHINE(l1_a_flow_that_opens_during_a_reading_is_not_missed),
        WITH_MACHINE(s2_a_stop_while_the_table_is_read),
        WITH_MACHINE(s10_more_than_can_be_held_wait_for_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
