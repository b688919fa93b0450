/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Where a SYN and its event meet, by itself: verdicts, held packets, bounds, expiry. What follows from it for
 * connections is in test_engine_held.c.
 */
#include "packets.h"

#include "engine/pending.h"

static struct pending pending;

static int set_up(void **state)
{
    (void)state;
    return pending_init(&pending, 42) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    pending_free(&pending);
    return 0;
}

/* A different connection for each n. */
static struct tuple nth_tuple(uint32_t n)
{
    struct tuple t = tuple_of("10.0.0.1", 1, "93.184.216.34", 80);
    t.src.bytes[13] = (uint8_t)(n >> 16);
    t.src_port = be16_from_host((uint16_t)n);
    return t;
}

static bool hold_sized(const struct tuple *t, uint32_t isn, uint32_t payload, uint64_t deadline)
{
    struct segment s = syn_of(t, isn);
    s.payload = payload;
    struct made *m = make_new(&s);
    struct packet p;
    assert_int_equal(packet_parse(m->bytes, m->length, &p), PACKET_TCP);
    bool held = pending_hold(&pending, &p, &m->meta, HELD_FOR_OWNER, deadline);
    free(m);
    return held;
}

static bool hold(const struct tuple *t, uint32_t isn, uint64_t deadline)
{
    return hold_sized(t, isn, 0, deadline);
}

static const struct pending_entry *entry_of(const struct tuple *t)
{
    uint32_t id = pending_find(&pending, t);
    return id == PENDING_NONE ? NULL : &pending.entries[id];
}

/* Whether the entry's bytes are the SYN that hold_sized() made. */
static bool holds(const struct tuple *t, uint32_t isn, uint32_t payload)
{
    const struct pending_entry *e = entry_of(t);
    struct segment s = syn_of(t, isn);
    s.payload = payload;
    struct made *m = make_new(&s);
    bool same = e && e->state == HELD_FOR_OWNER && e->isn == isn && e->length == m->length &&
                meta_equal(&e->meta, &m->meta) &&
                !memcmp(pending.slots + (size_t)e->slot * PENDING_HELD_PACKET_MAX, m->bytes, m->length);
    free(m);
    return same;
}

static uint32_t queue_length(const struct pending_queue *q)
{
    uint32_t n = 0;
    for (uint32_t id = q->head; id != PENDING_NONE; id = pending.entries[id].next) {
        n++;
    }
    return n;
}

static void o2_a_verdict_waits_for_its_syn_a_few_seconds(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    pending_decide(&pending, &t, true, 1234, 1000);
    const struct pending_entry *e = entry_of(&t);
    assert_non_null(e);
    assert_int_equal(e->state, PENDING_DECIDED);
    assert_true(e->redirect);
    assert_int_equal(e->pid, 1234);
    pending_expire(&pending, 1000 + PENDING_KEEP_MS - 1);
    assert_non_null(entry_of(&t));
    pending_expire(&pending, 1000 + PENDING_KEEP_MS);
    assert_null(entry_of(&t));
}

static void the_newest_verdict_counts(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    pending_decide(&pending, &t, true, 1234, 0);
    pending_decide(&pending, &t, false, 5678, 4000);
    assert_false(entry_of(&t)->redirect);
    assert_int_equal(entry_of(&t)->pid, 5678);
    pending_expire(&pending, PENDING_KEEP_MS);
    assert_non_null(entry_of(&t)); /* and its time runs from then on */
    assert_int_equal(queue_length(&pending.queues[PENDING_DECIDED]), 1);
}

static void o2_a_used_verdict_remembers_its_syn(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    pending_decide(&pending, &t, true, 1234, 0);
    pending_use(&pending, pending_find(&pending, &t), 77, 9, 3000);
    assert_int_equal(entry_of(&t)->state, PENDING_USED);
    assert_int_equal(entry_of(&t)->isn, 77);
    assert_true(entry_of(&t)->redirect);
    pending_expire(&pending, 3000 + PENDING_USED_MS - 1);
    assert_non_null(entry_of(&t));
    pending_expire(&pending, 3000 + PENDING_USED_MS);
    assert_null(entry_of(&t));
}

static void o2_a_held_packet_is_kept_byte_for_byte_and_never_expires_by_itself(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    uint32_t largest = PENDING_HELD_PACKET_MAX - 20 - 32;
    assert_true(hold_sized(&t, 77, largest, 50));
    assert_true(holds(&t, 77, largest));
    pending_expire(&pending, 1000000); /* letting it go is the engine's business */
    assert_true(holds(&t, 77, largest));
}

static void o2_a_packet_too_big_to_keep_is_refused(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    assert_false(hold_sized(&t, 77, PENDING_HELD_PACKET_MAX - 20 - 32 + 1, 50));
    assert_null(entry_of(&t));
}

static void o2_another_syn_of_the_tuple_replaces_the_held_one(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    for (uint32_t i = 0; i < 3 * PENDING_HELD_MAX; i++) { /* no slot is lost on the way */
        assert_true(hold(&t, i, 50 + i));
        assert_true(holds(&t, i, 0));
    }
    assert_int_equal(queue_length(&pending.queues[HELD_FOR_OWNER]), 1);
    assert_int_equal(pending.free_slot_count, PENDING_HELD_MAX - 1);
}

static void a_released_packet_leaves_its_bytes_and_a_verdict(void **state)
{
    (void)state;
    struct tuple t = nth_tuple(1);
    struct segment s = syn_of(&t, 77);
    struct made *m = make_new(&s);
    assert_true(hold(&t, 77, 50));
    uint8_t *bytes = pending_release(&pending, pending_find(&pending, &t), true, 1234, 30);
    assert_memory_equal(bytes, m->bytes, m->length);
    const struct pending_entry *e = entry_of(&t);
    assert_int_equal(e->state, PENDING_USED);
    assert_int_equal(e->isn, 77);
    assert_true(e->redirect);
    assert_int_equal(e->pid, 1234);
    assert_int_equal(queue_length(&pending.queues[HELD_FOR_OWNER]), 0);
    assert_int_equal(pending.free_slot_count, PENDING_HELD_MAX);
    pending_expire(&pending, 30 + PENDING_USED_MS);
    assert_null(entry_of(&t));
    free(m);
}

/* From wait to wait: each is a queue of its own, and the packet stays. */
static void o2_a_held_packet_can_wait_for_one_thing_after_another(void **state)
{
    (void)state;
    struct tuple first = nth_tuple(1), second = nth_tuple(2);
    assert_true(hold(&first, 77, 50));
    assert_true(hold(&second, 78, 60));
    for (enum pending_state wait = HELD_FOR_EVENT; wait <= HELD_FOR_FILTER; wait++) {
        pending_hold_on(&pending, pending_find(&pending, &first), wait, 100 * wait);
        assert_int_equal(queue_length(&pending.queues[HELD_FOR_OWNER]), 1);
        assert_int_equal(queue_length(&pending.queues[wait]), 1);
        assert_int_equal(pending.queues[wait].head, pending_find(&pending, &first));
        assert_true(pending_is_held(entry_of(&first)));
        assert_int_equal(entry_of(&first)->state, wait);
        assert_int_equal(entry_of(&first)->deadline_ms, 100 * wait);
        assert_int_equal(entry_of(&first)->isn, 77);
    }
    assert_int_equal(queue_length(&pending.queues[HELD_FOR_EVENT]), 0);
    assert_int_equal(pending.free_slot_count, PENDING_HELD_MAX - 2);
    pending_release(&pending, pending_find(&pending, &first), true, 1234, 30);
    assert_false(pending_is_held(entry_of(&first)));
    assert_int_equal(pending.free_slot_count, PENDING_HELD_MAX - 1);
    assert_true(holds(&second, 78, 0));
}

static void o2_held_packets_are_bounded(void **state)
{
    (void)state;
    struct tuple t;
    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) {
        t = nth_tuple(i);
        assert_true(hold(&t, i, 50));
    }
    t = nth_tuple(PENDING_HELD_MAX);
    assert_false(hold(&t, 1, 50));
    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) { /* none was spoiled */
        t = nth_tuple(i);
        assert_true(holds(&t, i, 0));
    }
    t = nth_tuple(500);
    pending_release(&pending, pending_find(&pending, &t), false, 0, 50);
    t = nth_tuple(PENDING_HELD_MAX);
    assert_true(hold(&t, 1, 50)); /* room again */
}

static void verdicts_are_bounded_and_the_oldest_makes_room(void **state)
{
    (void)state;
    struct tuple held = nth_tuple(0), t;
    assert_true(hold(&held, 5, 50));
    for (uint32_t i = 1; i <= 3 * PENDING_CAPACITY; i++) {
        t = nth_tuple(i);
        pending_decide(&pending, &t, true, i, i / 100);
    }
    assert_true(holds(&held, 5, 0)); /* never a packet */
    for (uint32_t i = 1; i <= 3 * PENDING_CAPACITY; i++) {
        t = nth_tuple(i);
        const struct pending_entry *e = entry_of(&t);
        assert_int_equal(e != NULL, i > 2 * PENDING_CAPACITY + 1);
        assert_true(!e || e->pid == i);
    }
    assert_int_equal(queue_length(&pending.queues[PENDING_DECIDED]), PENDING_CAPACITY - 1);
}

/* Everything at once, then nothing: no entry and no slot is lost. */
static void entries_and_slots_all_come_back(void **state)
{
    (void)state;
    struct rng r = {.state = 0x5eed0030};
    uint64_t now = 0;
    for (uint32_t step = 0; step < 200000; step++) {
        struct tuple t = nth_tuple(rng_below(&r, 3000));
        uint32_t id = pending_find(&pending, &t);
        bool is_held = id != PENDING_NONE && pending.entries[id].state == HELD_FOR_OWNER;
        switch (rng_below(&r, 3)) {
        case 0:
            hold(&t, rng_below(&r, 4), now + 50);
            break;
        case 1:
            if (is_held) {
                pending_release(&pending, id, true, 1, now);
            } else if (id != PENDING_NONE) {
                pending_use(&pending, id, 3, 9, now);
            }
            break;
        default:
            if (!is_held) {
                pending_decide(&pending, &t, true, 1, now);
            }
        }
        now += rng_below(&r, 10);
        pending_expire(&pending, now);
    }
    while (pending.queues[HELD_FOR_OWNER].head != PENDING_NONE) {
        pending_release(&pending, pending.queues[HELD_FOR_OWNER].head, false, 0, now);
    }
    assert_int_equal(pending.free_slot_count, PENDING_HELD_MAX);
    pending_expire(&pending, now + PENDING_USED_MS);
    assert_int_equal(pending.queues[PENDING_DECIDED].head, PENDING_NONE);
    assert_int_equal(pending.queues[PENDING_USED].head, PENDING_NONE);
    uint32_t free_entries = 0;
    for (uint32_t id = pending.first_free; id != PENDING_NONE; id = pending.entries[id].next) {
        free_entries++;
    }
    assert_int_equal(free_entries, pending.never_used);
}

int main(void)
{
#define WITH_PENDING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PENDING(o2_a_verdict_waits_for_its_syn_a_few_seconds),
        WITH_PENDING(the_newest_verdict_counts),
        WITH_PENDING(o2_a_used_verdict_remembers_its_syn),
        WITH_PENDING(o2_a_held_packet_is_kept_byte_for_byte_and_never_expires_by_itself),
        WITH_PENDING(o2_a_packet_too_big_to_keep_is_refused),
        WITH_PENDING(o2_another_syn_of_the_tuple_replaces_the_held_one),
        WITH_PENDING(a_released_packet_leaves_its_bytes_and_a_verdict),
        WITH_PENDING(o2_a_held_packet_can_wait_for_one_thing_after_another),
        WITH_PENDING(o2_held_packets_are_bounded),
        WITH_PENDING(verdicts_are_bounded_and_the_oldest_makes_room),
        WITH_PENDING(entries_and_slots_all_come_back),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
