/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Question and answer between two threads, as often as they can: each finds what the other has written. */
#include "packets.h"

#include "engine/table_talk.h"

#include <pthread.h>

enum { ROUNDS = 20000 };

static struct table_talk talk;
static atomic_bool ended;

static void *reads_tables(void *unused)
{
    (void)unused;
    while (!atomic_load(&ended)) {
        if (!table_talk_is_asked(&talk)) {
            continue;
        }
        for (uint32_t i = 0; i < talk.count; i++) {
            talk.owners[i] += be16_to_host(talk.owners_of[i].src_port) + 1u;
        }
        table_talk_answer(&talk, talk.sockets);
    }
    return NULL;
}

static void every_answer_belongs_to_its_question(void **state)
{
    static struct tuple questions[PENDING_HELD_MAX];
    pthread_t reader;
    (void)state;
    assert_int_equal(pthread_create(&reader, NULL, reads_tables, NULL), 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct table_wanted wanted = {questions, round % 7, round % 2};
        for (uint32_t i = 0; i < wanted.count; i++) {
            questions[i].src_port = be16_from_host((uint16_t)(round + i));
        }
        assert_false(table_talk_is_answered(&talk));
        table_talk_ask(&talk, &wanted);
        memset(questions, 0xff, sizeof questions); /* they are the caller's again */
        while (!table_talk_is_answered(&talk)) {
            ;
        }
        assert_int_equal(talk.whole, wanted.sockets);
        for (uint32_t i = 0; i < wanted.count; i++) {
            assert_int_equal(talk.owners[i], (uint16_t)(round + i) + 1u);
        }
        table_talk_done(&talk);
    }
    atomic_store(&ended, true); /* while it reads, or does not: the talk outlives both */
    pthread_join(reader, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_answer_belongs_to_its_question)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
