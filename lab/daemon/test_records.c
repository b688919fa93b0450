/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Unit tests of records.c and outbox.c: what is written is read again, and lengths that lie are noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "outbox.h"
#include "records.h"

static struct batch batch;

static void *exact(const void *bytes, size_t length)
{
    void *copy = malloc(length ? length : 1);

    memcpy(copy, bytes, length);
    return copy;
}

static void reads_what_was_written(void **state)
{
    struct lab_query query = {{LAB_QUERY, sizeof(query)}, 7};
    struct lab_head log = {LAB_LOG, sizeof(log)};
    const struct lab_head *head;
    struct records records;
    const uint8_t *data;
    uint32_t length;

    (void)state;
    batch.used = 0;
    assert_true(batch_add(&batch, &log, "abc", 3));
    assert_true(batch_add(&batch, &query, NULL, 0));
    assert_int_equal(batch.used, 16 + 16);
    records = records_of(batch.bytes, batch.used);
    head = records_next(&records);
    assert_int_equal(head->type, LAB_LOG);
    assert_true(record_data(head, sizeof(log), &data, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(data, "abc", 3);
    head = records_next(&records);
    assert_int_equal(head->type, LAB_QUERY);
    assert_int_equal(((const struct lab_query *)head)->token, 7);
    assert_false(record_data(head, sizeof(query) + 1, &data, &length));
    assert_null(records_next(&records));
    assert_false(records.broken);
}

static void the_last_needs_no_padding(void **state)
{
    struct lab_head log = {LAB_LOG, sizeof(log)};
    struct records records;
    void *message;

    (void)state;
    batch.used = 0;
    batch_add(&batch, &log, "abc", 3);
    message = exact(batch.bytes, 11);
    records = records_of(message, 11);
    assert_non_null(records_next(&records));
    assert_null(records_next(&records));
    assert_false(records.broken);
    free(message);
}

static void notices_lies(void **state)
{
    const uint32_t sizes[] = {0, 7, 25, 4096, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t words[6] = {LAB_QUERY, sizes[i], 1, 2, 3, 4};
        void *message = exact(words, sizeof(words));
        struct records records = records_of(message, sizeof(words));

        assert_null(records_next(&records));
        assert_true(records.broken);
        assert_null(records_next(&records));
        free(message);
    }
    for (size_t length = 1; length < 8; length++) {
        void *message = exact((uint32_t[]){LAB_QUERY, 8}, length);
        struct records records = records_of(message, length);

        assert_null(records_next(&records));
        assert_true(records.broken);
        free(message);
    }
}

static void a_message_has_an_end(void **state)
{
    static uint8_t data[LAB_MESSAGE_MAX];
    struct lab_head log = {LAB_LOG, sizeof(log)};

    (void)state;
    batch.used = 0;
    assert_false(batch_add(&batch, &log, data, LAB_MESSAGE_MAX - 7));
    assert_false(batch_add(&batch, &log, data, UINT32_MAX));
    assert_true(batch_add(&batch, &log, data, LAB_MESSAGE_MAX - 16));
    assert_int_equal(batch.used, LAB_MESSAGE_MAX - 8);
    assert_false(batch_add(&batch, &log, data, 1));
    assert_true(batch_add(&batch, &log, NULL, 0));
    assert_int_equal(batch.used, LAB_MESSAGE_MAX);
    assert_false(batch_add(&batch, &log, NULL, 0));
}

static void the_outbox_is_a_bounded_queue(void **state)
{
    struct outbox outbox;

    (void)state;
    outbox_init(&outbox, 10);
    assert_true(outbox_put(&outbox, "abcd", 4));
    assert_true(outbox_put(&outbox, "efghi", 5));
    assert_false(outbox_put(&outbox, "jk", 2));
    assert_true(outbox_put(&outbox, "l", 1));
    assert_int_equal(outbox.bytes, 10);
    assert_memory_equal(outbox.first->bytes, "abcd", 4);
    outbox_drop_first(&outbox);
    assert_int_equal(outbox.first->length, 5);
    assert_true(outbox_put(&outbox, "mnop", 4));
    outbox_clear(&outbox);
    assert_null(outbox.first);
    assert_int_equal(outbox.bytes, 0);
    assert_true(outbox_put(&outbox, "0123456789", 10));
    outbox_clear(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(the_last_needs_no_padding),
        cmocka_unit_test(notices_lies),
        cmocka_unit_test(a_message_has_an_end),
        cmocka_unit_test(the_outbox_is_a_bounded_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
