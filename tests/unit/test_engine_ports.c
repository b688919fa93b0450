/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which ports are the tree's: by address, from the start and later, closed and taken over, with events lost (N1). */
#include "machine.h"

static void n1_every_listening_port_of_the_tree_is_led_to_the_proxy_and_no_other(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "0.0.0.0", 80);
    opens(f, CHILD, "0.0.0.0", 81);
    opens(f, CHILD, "::", 82);
    opens(f, ROOT, "2001:db8::1", 83);
    opens(f, STRANGER, "0.0.0.0", 84);
    opens(f, STRANGER, "::", 85);
    for (int i = 0; i < 2; i++) {
        assert_true(catches(f, "10.0.0.1", 80, ROOT));
        assert_true(catches(f, "10.0.0.1", 81, CHILD));
        assert_true(catches(f, "2001:db8::1", 82, CHILD));
        assert_true(catches(f, "10.0.0.1", 82, CHILD)); /* dual-stack */
        assert_true(catches(f, "2001:db8::1", 83, ROOT));
        assert_false(catches(f, "2001:db8::1", 80, ROOT)); /* IPv4 only */
        assert_false(catches(f, "10.0.0.1", 84, STRANGER));
        assert_false(catches(f, "2001:db8::1", 85, STRANGER));
        assert_false(catches(f, "10.0.0.1", 86, 0));
    }
    assert_int_equal(f->world.flows_begun, 10);
}

static void n1_a_listener_on_one_address_does_not_catch_another(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "10.0.0.1", 80);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    assert_false(catches(f, "10.0.0.2", 80, ROOT));
    opens(f, STRANGER, "0.0.0.0", 80); /* the one on the very address is the one that gets it */
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    assert_false(catches(f, "10.0.0.2", 80, ROOT));
    opens(f, CHILD, "0.0.0.0", 81);
    opens(f, STRANGER, "10.0.0.2", 81);
    assert_true(catches(f, "10.0.0.1", 81, CHILD));
    assert_false(catches(f, "10.0.0.2", 81, CHILD));
    opens(f, CHILD, "::", 82); /* both can be had at once where the IPv6 socket is not dual-stack */
    opens(f, STRANGER, "0.0.0.0", 82);
    assert_true(catches(f, "2001:db8::1", 82, CHILD));
    assert_false(catches(f, "10.0.0.1", 82, CHILD));
}

static void n1_ports_that_exist_at_start_are_found(void **state)
{
    struct engine_config config = machine_config();
    struct fixture *f = machine_renew_bare(state, &config);
    listens_unheard(f, AGENT, "0.0.0.0", INCOMING_PORT);
    listens_unheard(f, ROOT, "0.0.0.0", 80);
    listens_unheard(f, CHILD, "10.0.0.1", 81);
    listens_unheard(f, STRANGER, "0.0.0.0", 82);
    world_scan_listeners(&f->world);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    assert_true(catches(f, "10.0.0.1", 81, CHILD));
    assert_false(catches(f, "10.0.0.1", 82, STRANGER));
}

/* http.sys listens as PID 4, which is in no tree: the port is named instead. */
static void n1_a_port_that_is_named_is_the_trees_whoever_listens_there(void **state)
{
    struct engine_config config = machine_config();
    config.listen_ports[config.listen_port_count++] = 80;
    config.listen_ports[config.listen_port_count++] = 90;
    struct fixture *f = machine_renew_bare(state, &config);
    machine_with_proxies(f);
    listens_unheard(f, 4, "0.0.0.0", 80); /* there from the start */
    world_scan_listeners(&f->world);
    opens(f, 4, "::", 90);      /* later */
    opens(f, 4, "0.0.0.0", 81); /* not named */
    opens(f, AGENT, "10.0.0.2", 80);
    for (int i = 0; i < 2; i++) {
        assert_true(catches(f, "10.0.0.1", 80, 4));
        assert_true(catches(f, "2001:db8::1", 90, 4));
        assert_false(catches(f, "10.0.0.1", 81, 4));
        assert_false(catches(f, "10.0.0.2", 80, AGENT));
        engine_set_rules(f->world.engine, NULL); /* all are judged anew */
    }
    closes(f, 4, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, 4));
    listens_unheard(f, 0, "0.0.0.0", 80); /* a row without an owner */
    world_scan_listeners(&f->world);
    assert_true(catches(f, "10.0.0.1", 80, 0));
}

static void n1_a_tree_that_does_not_listen_is_said_once(void **state)
{
    struct fixture *f = *state;
    pass_time(f, 1000);
    pass_time(f, 28000);
    assert_int_equal(f->world.no_listener, 0);
    assert_int_equal(COUNTER(f, tree_listeners), 0);
    opens(f, STRANGER, "0.0.0.0", 80);
    pass_time(f, 3000);
    assert_int_equal(f->world.no_listener, 1);
    opens(f, ROOT, "0.0.0.0", 81);
    pass_time(f, 1000);
    assert_int_equal(COUNTER(f, tree_listeners), 1);
    closes(f, ROOT, "0.0.0.0", 81);
    pass_time(f, 60000);
    assert_int_equal(COUNTER(f, tree_listeners), 0);
    assert_int_equal(f->world.no_listener, 1);
}

static void n1_a_tree_that_listens_in_time_is_not_complained_of(void **state)
{
    struct fixture *f = *state;
    pass_time(f, 1000);
    pass_time(f, 20000);
    opens(f, CHILD, "::", 80);
    pass_time(f, 2000);
    closes(f, CHILD, "::", 80);
    pass_time(f, 60000);
    assert_int_equal(f->world.no_listener, 0);
}

/* The look at start and the events in between may tell of the same socket. */
static void n1_a_socket_told_of_twice_is_one(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "0.0.0.0", 80);
    world_scan_listeners(&f->world);
    listen_event(f, ROOT, "0.0.0.0", 80);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    closes(f, ROOT, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
}

/* Some systems list listeners without their owners; the event knows. */
static void n1_a_row_without_an_owner_takes_nothing_from_what_is_known(void **state)
{
    struct fixture *f = *state;
    struct tuple local = local_end("0.0.0.0", 80);
    opens(f, ROOT, "0.0.0.0", 80);
    world_row_remove(&f->world.listening, &local);
    world_row_add(&f->world.listening, &local, 0);
    world_scan_listeners(&f->world);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));

    local = local_end("0.0.0.0", 81);
    world_row_add(&f->world.listening, &local, 0);
    world_scan_listeners(&f->world);
    assert_false(catches(f, "10.0.0.1", 81, 0)); /* whose it is, nobody knows */
    listen_event(f, CHILD, "0.0.0.0", 81);
    assert_true(catches(f, "10.0.0.1", 81, CHILD));
}

static void n1_a_port_that_comes_later_is_caught_from_then_on(void **state)
{
    struct fixture *f = *state;
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
    opens(f, ROOT, "0.0.0.0", 80);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

static void n1_a_port_that_is_closed_is_caught_no_more_and_its_connections_live_on(void **state)
{
    struct fixture *f = *state;
    struct tuple t = from_peer(f, "10.0.0.1", 80);
    opens(f, ROOT, "0.0.0.0", 80);
    struct tuple seen = taken_in(f, &t, 100), reply = tuple_reversed(&seen), back = tuple_reversed(&t);
    closes(f, ROOT, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
    assert_int_equal(send_segment(f, syn_ack_of(&reply, 500, 101)), VERDICT_REWRITE);
    assert_tuple(&f->last, &back);
    assert_int_equal(arrives(f, ack_of(&t, 101, 501)), VERDICT_REWRITE);
    assert_tuple(&f->last, &seen);
    assert_true(maps_incoming(f, source_port(&t), &t, ROOT));
}

static void n1_a_port_that_another_program_takes_over_is_its_own(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "0.0.0.0", 80);
    closes(f, ROOT, "0.0.0.0", 80);
    opens(f, STRANGER, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
    closes(f, STRANGER, "0.0.0.0", 80);
    opens(f, CHILD, "0.0.0.0", 80);
    assert_true(catches(f, "10.0.0.1", 80, CHILD));
    close_event(f, STRANGER, "0.0.0.0", 80); /* a second one of the stranger's, late: the driver doubles them */
    assert_true(catches(f, "10.0.0.1", 80, CHILD));
}

static void n1_the_end_of_an_accepted_connection_is_not_the_end_of_its_listener(void **state)
{
    struct fixture *f = *state;
    struct tuple accepted = tuple_of("10.0.0.1", 80, "203.0.113.9", 50000);
    opens(f, ROOT, "10.0.0.1", 80);
    send_event(f, SOCKET_ACCEPT, ROOT, &accepted);
    send_event(f, SOCKET_CLOSE, ROOT, &accepted);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

/* The news that a process is ours may come after its first socket event. */
static void n1_i1_a_process_that_becomes_a_member_brings_its_listeners(void **state)
{
    struct fixture *f = *state;
    process_starts(f, 3000, 900, 2996, 0); /* its parent lived too short to be seen */
    opens(f, 3000, "0.0.0.0", 80);
    assert_false(catches(f, "10.0.0.1", 80, 3000));
    engine_process(f->world.engine, (struct process_id){3000, 900});
    assert_true(catches(f, "10.0.0.1", 80, 3000));
}

/* Events can be lost, and doubled. The table tells the truth, and is to be looked at now and then. */
static void wait_for_a_look(struct fixture *f)
{
    pass_time(f, SCAN_MS);
    pass_time(f, SCAN_MS);
}

static void n1_a_lost_listen_event_does_not_matter_for_long(void **state)
{
    struct fixture *f = *state;
    listens_unheard(f, ROOT, "0.0.0.0", 80);
    wait_for_a_look(f);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

static void n1_a_lost_close_event_does_not_matter_for_long(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "10.0.0.1", 80);
    closes_unheard(f, "10.0.0.1", 80);
    opens(f, STRANGER, "10.0.0.1", 80);
    opens(f, ROOT, "0.0.0.0", 81);
    closes_unheard(f, "0.0.0.0", 81);
    wait_for_a_look(f);
    assert_false(catches(f, "10.0.0.1", 80, ROOT)); /* belongs to nobody in the tree (O5) */
    assert_false(catches(f, "10.0.0.1", 81, ROOT));
}

static void n1_a_doubled_close_event_of_a_port_opened_again_does_not_matter_for_long(void **state)
{
    struct fixture *f = *state;
    opens(f, ROOT, "0.0.0.0", 80);
    closes(f, ROOT, "0.0.0.0", 80);
    opens(f, ROOT, "0.0.0.0", 80);
    close_event(f, ROOT, "0.0.0.0", 80);
    wait_for_a_look(f);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

/* A program that is started anew on its port, as development servers do at each change of a file. */
static void event_of(struct fixture *f, enum socket_event_kind kind, uint32_t pid, int64_t at, uint64_t endpoint)
{
    struct socket_event event = {
        .kind = kind, .pid = pid, .timestamp = at, .endpoint = endpoint, .tuple = local_end("0.0.0.0", 80)};
    engine_event(f->world.engine, &event, f->world.now);
}

static void n1_a_late_close_does_not_end_the_listener_that_came_after_it(void **state)
{
    struct fixture *f = *state;
    event_of(f, SOCKET_LISTEN, ROOT, 10, 0);
    event_of(f, SOCKET_LISTEN, ROOT, 30, 0);
    event_of(f, SOCKET_CLOSE, ROOT, 20, 0);
    event_of(f, SOCKET_CLOSE, ROOT, 20, 0);
    f->world.listening.fails = true; /* nobody to ask */
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    event_of(f, SOCKET_CLOSE, ROOT, 40, 0);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
}

/* Clocks may be too coarse to tell; the sockets have numbers. */
static void n1_the_close_of_another_socket_of_the_process_is_not_the_listeners(void **state)
{
    struct fixture *f = *state;
    event_of(f, SOCKET_LISTEN, ROOT, 10, 1);
    event_of(f, SOCKET_LISTEN, ROOT, 10, 2);
    event_of(f, SOCKET_CLOSE, ROOT, 10, 1);
    f->world.listening.fails = true;
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
    event_of(f, SOCKET_CLOSE, ROOT, 10, 2);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
}

static void n1_a_late_listen_of_a_predecessor_takes_nothing_from_its_successor(void **state)
{
    struct fixture *f = *state;
    listens_unheard(f, CHILD, "0.0.0.0", 80);
    event_of(f, SOCKET_LISTEN, CHILD, 30, 0);
    event_of(f, SOCKET_CLOSE, ROOT, 20, 0);
    event_of(f, SOCKET_LISTEN, ROOT, 10, 0);
    assert_true(catches(f, "10.0.0.1", 80, CHILD));
}

static void n1_a_late_listen_of_a_socket_that_is_gone_is_seen_through(void **state)
{
    struct fixture *f = *state;
    event_of(f, SOCKET_CLOSE, ROOT, 20, 1);
    event_of(f, SOCKET_LISTEN, ROOT, 10, 1);
    assert_false(catches(f, "10.0.0.1", 80, ROOT));
}

/* The same process listens twice (SO_REUSEADDR), and closes the younger socket. */
static void n1_a_close_is_a_hint_and_the_table_has_the_last_word(void **state)
{
    struct fixture *f = *state;
    listens_unheard(f, ROOT, "0.0.0.0", 80);
    event_of(f, SOCKET_LISTEN, ROOT, 10, 1);
    event_of(f, SOCKET_LISTEN, ROOT, 20, 2);
    event_of(f, SOCKET_CLOSE, ROOT, 30, 2);
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

/* Nobody asks for a port whose packets are not captured, so it does not wait for a question. */
static void n1_a_doubt_is_resolved_without_a_question(void **state)
{
    struct fixture *f = *state;
    listens_unheard(f, ROOT, "0.0.0.0", 80);
    event_of(f, SOCKET_LISTEN, ROOT, 10, 1);
    event_of(f, SOCKET_CLOSE, ROOT, 30, 0);
    uint32_t asked = f->world.listening.asked;
    pass_time(f, 250);
    assert_int_equal(f->world.listening.asked, asked + 1);
    pass_time(f, 250);
    assert_int_equal(f->world.listening.asked, asked + 1); /* and is over then */
    f->world.listening.fails = true;
    assert_true(catches(f, "10.0.0.1", 80, ROOT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(n1_every_listening_port_of_the_tree_is_led_to_the_proxy_and_no_other),
        WITH_MACHINE(n1_a_listener_on_one_address_does_not_catch_another),
        WITH_MACHINE(n1_ports_that_exist_at_start_are_found),
        WITH_MACHINE(n1_a_port_that_is_named_is_the_trees_whoever_listens_there),
        WITH_MACHINE(n1_a_tree_that_does_not_listen_is_said_once),
        WITH_MACHINE(n1_a_tree_that_listens_in_time_is_not_complained_of),
        WITH_MACHINE(n1_a_socket_told_of_twice_is_one),
        WITH_MACHINE(n1_a_row_without_an_owner_takes_nothing_from_what_is_known),
        WITH_MACHINE(n1_a_port_that_comes_later_is_caught_from_then_on),
        WITH_MACHINE(n1_a_port_that_is_closed_is_caught_no_more_and_its_connections_live_on),
        WITH_MACHINE(n1_a_port_that_another_program_takes_over_is_its_own),
        WITH_MACHINE(n1_the_end_of_an_accepted_connection_is_not_the_end_of_its_listener),
        WITH_MACHINE(n1_i1_a_process_that_becomes_a_member_brings_its_listeners),
        WITH_MACHINE(n1_a_lost_listen_event_does_not_matter_for_long),
        WITH_MACHINE(n1_a_lost_close_event_does_not_matter_for_long),
        WITH_MACHINE(n1_a_doubled_close_event_of_a_port_opened_again_does_not_matter_for_long),
        WITH_MACHINE(n1_a_late_close_does_not_end_the_listener_that_came_after_it),
        WITH_MACHINE(n1_the_close_of_another_socket_of_the_process_is_not_the_listeners),
        WITH_MACHINE(n1_a_late_listen_of_a_predecessor_takes_nothing_from_its_successor),
        WITH_MACHINE(n1_a_late_listen_of_a_socket_that_is_gone_is_seen_through),
        WITH_MACHINE(n1_a_close_is_a_hint_and_the_table_has_the_last_word),
        WITH_MACHINE(n1_a_doubt_is_resolved_without_a_question),
    };
    return cmocka_run_group_tests_name("engine: ports", tests, NULL, NULL);
}
