/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * CONNECT events that come late, twice, or for the next connection on the same tuple: the driver's time tells which
 * SYN an event belongs to (O2). An event happens before its SYN, whenever it is read.
 */
#include "engine_fixture.h"

/* A moment of the driver's clock, later than everything before it. */
static int64_t moment(struct fixture *f)
{
    return EARLY + ++f->world.clock;
}

static void connected_at(struct fixture *f, uint32_t pid, const struct tuple *t, int64_t when)
{
    send_event_of(f, SOCKET_CONNECT, pid, t, when);
}

static void the_program_gives_up(struct fixture *f, const struct tuple *t)
{
    send_segment(f, rst_of(t, 101, 0));
    pass_time(f, FLOW_LINGER_RST_MS);
}

static void o2_an_event_of_the_same_moment_as_its_syn_is_late_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    int64_t syn_time = EARLY + f->world.clock;
    pass_time(f, HOLD_MS);
    connected_at(f, ROOT, &t, syn_time);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
}

/* A retransmission is younger than an event that is late; the first SYN's time is the one that counts. */
static void o2_a_late_event_between_two_retransmissions_is_still_late(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    int64_t happened = moment(f);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
    pass_time(f, HOLD_MS);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    connected_at(f, ROOT, &t, happened);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    assert_int_equal(send_segment(f, ack_of(&t, 101, 501)), VERDICT_PASS);
}

static void o2_a_doubled_event_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tuple ours = tuple4(), theirs = tuple6();
    int64_t first = moment(f), second = moment(f);
    for (int i = 0; i < 2; i++) { /* both before the SYN */
        connected_at(f, ROOT, &ours, first);
        connected_at(f, STRANGER, &theirs, second);
    }
    assert_int_equal(send_syn(f, &ours, 100), VERDICT_REWRITE);
    assert_int_equal(send_syn(f, &theirs, 100), VERDICT_PASS);
    connected_at(f, ROOT, &ours, first); /* and behind it */
    connected_at(f, STRANGER, &theirs, second);
    assert_int_equal(send_syn(f, &ours, 100), VERDICT_REWRITE);
    assert_int_equal(send_syn(f, &theirs, 100), VERDICT_PASS);
    assert_int_equal(f->world.flows_begun, 1);
    assert_int_equal(f->injected_count, 0);
}

/* The double of an old event is no verdict for the next connection, which may be anybody's. */
static void o2_a_doubled_event_is_not_for_the_next_connection(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    int64_t first = moment(f);
    connected_at(f, ROOT, &t, first);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    the_program_gives_up(f, &t);
    connected_at(f, ROOT, &t, first);
    assert_int_equal(send_syn(f, &t, 777), VERDICT_HOLD);
    connects(f, STRANGER, &t);
    struct tuple as_it_was = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&as_it_was, &t));
    assert_int_equal(f->world.flows_begun, 1);
}

static void o2_the_event_of_the_next_connection_is_for_the_next(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connected_at(f, STRANGER, &t, moment(f));
    assert_int_equal(send_syn(f, &t, 100), VERDICT_PASS);
    connected_at(f, ROOT, &t, moment(f));
    assert_int_equal(send_syn(f, &t, 777), VERDICT_REWRITE);
    the_program_gives_up(f, &t);
    connected_at(f, STRANGER, &t, moment(f));
    assert_int_equal(send_syn(f, &t, 4242), VERDICT_PASS);
}

/* The next connection's SYN is held already when the event of the one before it comes, at last. */
static void o2_a_late_event_of_the_connection_before_does_not_decide_about_the_one_that_is_held(void **state)
{
    static const struct {
        uint32_t before, now;
    } owners[] = {{STRANGER, ROOT}, {ROOT, STRANGER}};
    for (int i = 0; i < 2; i++) {
        struct engine_config config = fixture_config();
        struct fixture *f = fixture_renew(state, &config);
        struct tuple t = tuple4();
        int64_t first = moment(f);
        assert_int_equal(send_syn(f, &t, 100), VERDICT_HOLD);
        pass_time(f, HOLD_MS); /* gone, as it was */
        int64_t second = moment(f);
        assert_int_equal(send_syn(f, &t, 777), VERDICT_HOLD);
        connected_at(f, owners[i].before, &t, first);
        connected_at(f, owners[i].now, &t, second);
        assert_int_equal(f->injected_count, 2);
        struct tuple left = tuple_in(f->injected[1]);
        assert_int_equal(!tuple_equal(&left, &t), owners[i].now == ROOT);
    }
}

static void o2_a_doubled_event_of_the_connection_before_does_not_decide_about_the_one_that_is_held(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    int64_t first = moment(f);
    connected_at(f, ROOT, &t, first);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    the_program_gives_up(f, &t);
    int64_t second = moment(f);
    assert_int_equal(send_syn(f, &t, 777), VERDICT_HOLD);
    connected_at(f, ROOT, &t, first);
    connected_at(f, STRANGER, &t, second);
    assert_int_equal(f->injected_count, 1);
    struct tuple left = tuple_in(f->injected[0]);
    assert_true(tuple_equal(&left, &t)); /* O5: a stranger's */
}

/* Without a time there is only the order in which things come. */
static void o2_an_event_of_unknown_time_counts_as_news(void **state)
{
    struct fixture *f = *state;
    struct tuple t = tuple4();
    connected_at(f, ROOT, &t, 0);
    assert_int_equal(send_syn(f, &t, 100), VERDICT_REWRITE);
    the_program_gives_up(f, &t);
    connected_at(f, STRANGER, &t, 0);
    assert_int_equal(send_syn(f, &t, 777), VERDICT_PASS);
    assert_int_equal(send_syn(f, &t, 4242), VERDICT_HOLD);
    connected_at(f, ROOT, &t, 0);
    struct tuple left = tuple_in(f->injected[0]);
    assert_false(tuple_equal(&left, &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(o2_an_event_of_the_same_moment_as_its_syn_is_late_all_the_same),
        WITH_ENGINE(o2_a_late_event_between_two_retransmissions_is_still_late),
        WITH_ENGINE(o2_a_doubled_event_changes_nothing),
        WITH_ENGINE(o2_a_doubled_event_is_not_for_the_next_connection),
        WITH_ENGINE(o2_the_event_of_the_next_connection_is_for_the_next),
        WITH_ENGINE(o2_a_late_event_of_the_connection_before_does_not_decide_about_the_one_that_is_held),
        WITH_ENGINE(o2_a_doubled_event_of_the_connection_before_does_not_decide_about_the_one_that_is_held),
        WITH_ENGINE(o2_an_event_of_unknown_time_counts_as_news),
    };
    return cmocka_run_group_tests_name("engine: event times", tests, NULL, NULL);
}
