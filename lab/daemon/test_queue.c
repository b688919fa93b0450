// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Unit tests of queue.c, with a clock of their own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"

static uint8_t packet[WD_PACKET_MAX];

static unsigned put(struct queue *queue, uint8_t tag, uint32_t length, int64_t now)
{
    struct wd_address address = {.timestamp = tag};

    packet[0] = tag;
    return queue_put(queue, &(struct queue_item){&address, packet, length, 0}, now);
}

// The tag of the packet that is taken, or -1.
static int take(struct queue *queue, unsigned taken, size_t room, int64_t now)
{
    struct queue_entry *entry = queue_take(queue, taken, room, now);
    int tag;

    if (!entry)
        return -1;
    tag = entry->data[0];
    assert_int_equal(entry->address.timestamp, tag);
    free(entry);
    return tag;
}

static void empty(struct queue *queue)
{
    while (take(queue, 0, 0, 0) >= 0)
        ;
    assert_int_equal(queue->count, 0);
    assert_int_equal(queue->size, 0);
}

static void parameters_have_limits(void **state)
{
    static const struct {
        uint32_t param;
        uint64_t standard, min, max;
    } params[] = {
        {WD_QUEUE_LENGTH, 4096, 32, 16384},
        {WD_QUEUE_TIME, 2000, 100, 16000},
        {WD_QUEUE_SIZE, 4194304, 65535, 33554432},
    };
    struct queue queue;
    uint64_t value;

    (void)state;
    queue_init(&queue);
    for (int i = 0; i < 3; i++) {
        assert_true(queue_get_param(&queue, params[i].param, &value));
        assert_int_equal(value, params[i].standard);
        assert_false(queue_set_param(&queue, params[i].param, params[i].min - 1));
        assert_false(queue_set_param(&queue, params[i].param, params[i].max + 1));
        assert_true(queue_set_param(&queue, params[i].param, params[i].min));
        assert_true(queue_set_param(&queue, params[i].param, params[i].max));
        assert_true(queue_get_param(&queue, params[i].param, &value));
        assert_int_equal(value, params[i].max);
    }
    assert_true(queue_get_param(&queue, WD_VERSION_MAJOR, &value));
    assert_int_equal(value, 2);
    assert_false(queue_set_param(&queue, WD_VERSION_MAJOR, 2));
    assert_false(queue_get_param(&queue, 5, &value));
    assert_false(queue_set_param(&queue, 5, 100));
}

static void keeps_order(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue);
    assert_int_equal(take(&queue, 0, 100, 0), -1);
    for (int tag = 1; tag <= 3; tag++)
        assert_int_equal(put(&queue, (uint8_t)tag, 10, 0), 0);
    assert_int_equal(take(&queue, 0, 100, 0), 1);
    assert_int_equal(take(&queue, 1, 90, 0), 2);
    assert_int_equal(put(&queue, 4, 10, 0), 0);
    assert_int_equal(take(&queue, 2, 80, 0), 3);
    assert_int_equal(take(&queue, 3, 70, 0), 4);
    assert_int_equal(take(&queue, 4, 60, 0), -1);
    empty(&queue);
}

static void too_many_push_out_the_oldest(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue);
    queue_set_param(&queue, WD_QUEUE_LENGTH, 32);
    for (int tag = 1; tag <= 32; tag++)
        assert_int_equal(put(&queue, (uint8_t)tag, 10, 0), 0);
    assert_int_equal(put(&queue, 33, 10, 0), 1);
    assert_int_equal(queue.count, 32);
    assert_int_equal(take(&queue, 0, 10, 0), 2);
    empty(&queue);
}

static void too_many_bytes_push_out_the_oldest(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue);
    queue_set_param(&queue, WD_QUEUE_SIZE, 65535);
    for (int tag = 1; tag <= 4; tag++)
        assert_int_equal(put(&queue, (uint8_t)tag, 16000, 0), 0);
    assert_int_equal(put(&queue, 5, 20000, 0), 2);
    assert_int_equal(take(&queue, 0, 0, 0), 3);
    // Bigger than the whole queue: lost itself, and nothing else for it.
    assert_int_equal(put(&queue, 6, 65535, 0), 1);
    assert_int_equal(take(&queue, 0, 0, 0), 4);
    empty(&queue);
}

static void old_ones_expire(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue);
    put(&queue, 1, 10, 1000);
    put(&queue, 2, 10, 1500);
    put(&queue, 3, 10, 3400);
    assert_int_equal(queue_expire(&queue, 3000), 0);
    assert_int_equal(queue_expire(&queue, 3001), 1);
    assert_int_equal(take(&queue, 0, 10, 3501), 2); // the first is the caller's business
    put(&queue, 4, 10, 3400);
    assert_int_equal(take(&queue, 1, 10, 5401), -1); // an expired one ends a batch
    assert_int_equal(queue_expire(&queue, 5401), 2);
    empty(&queue);
}

static void batch_ends_where_room_does(void **state)
{
    struct queue queue;

    (void)state;
    queue_init(&queue);
    for (int tag = 1; tag <= 3; tag++)
        put(&queue, (uint8_t)tag, 100, 0);
    assert_int_equal(take(&queue, 0, 50, 0), 1); // the first always comes
    assert_int_equal(take(&queue, 1, 99, 0), -1);
    assert_int_equal(take(&queue, 1, 100, 0), 2);
    empty(&queue);
}

static void events_have_no_data(void **state)
{
    struct wd_address address = {.event = WD_SOCKET_BIND};
    struct queue queue;
    struct queue_entry *entry;

    (void)state;
    queue_init(&queue);
    assert_int_equal(queue_put(&queue, &(struct queue_item){.address = &address}, 0), 0);
    entry = queue_take(&queue, 0, 0, 0);
    assert_non_null(entry);
    assert_int_equal(entry->length, 0);
    assert_int_equal(entry->address.event, WD_SOCKET_BIND);
    free(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_have_limits),
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(too_many_push_out_the_oldest),
        cmocka_unit_test(too_many_bytes_push_out_the_oldest),
        cmocka_unit_test(old_ones_expire),
        cmocka_unit_test(batch_ends_where_room_does),
        cmocka_unit_test(events_have_no_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
