/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: question and answer change hands by table_talk.h, so that the table and its snapshot are
 * always of one thread. GetExtendedTcpTable cannot be cancelled, so the thread is a shared one (shared_thread.h); there
 * is never more than one. It loads the library, too, with the first question; if that fails, with the next one.
 */
#include "windows/table_reader.h"
#include "windows/shared_thread.h"

#include "engine/table_talk.h"

#include <stdlib.h>
#include <windows.h>

enum { STOP_WAIT_MS = 100 };

struct table_reader {
    struct tcptable *table;
    struct table_talk talk;
    struct shared_thread thread;
    HANDLE wake, asked, answered;
    atomic_bool end;
};

static void reader_free(void *reader)
{
    struct table_reader *r = reader;
    tcptable_close(r->table);
    shared_thread_close_event(r->wake);
    shared_thread_close_event(r->asked);
    shared_thread_close_event(r->answered);
    free(r);
}

static bool read_table(struct table_reader *r, struct table_talk *talk)
{
    r->table = r->table ? r->table : tcptable_open();
    if (!r->table) {
        return false; /* talk->owners is all 0 */
    }
    bool whole = tcptable_read(r->table, talk->sockets || talk->count);
    tcptable_owners(r->table, talk->owners_of, talk->count, talk->owners);
    return whole;
}

static void reader_run(void *reader)
{
    struct table_reader *r = reader;
    while (WaitForSingleObject(r->asked, INFINITE) == WAIT_OBJECT_0 && !atomic_load(&r->end)) {
        struct table_talk *talk = &r->talk;
        if (!table_talk_is_asked(talk)) {
            continue;
        }
        bool whole = read_table(r, talk);
        table_talk_answer(talk, whole);
        SetEvent(r->answered);
        SetEvent(r->wake);
    }
}

struct table_reader *table_reader_start(void *wake)
{
    struct table_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->asked = CreateEventW(NULL, FALSE, FALSE, NULL);
    r->answered = CreateEventW(NULL, FALSE, FALSE, NULL);
    bool ready = r->asked && r->answered && shared_thread_keep_event(wake, &r->wake);
    /* SYNs may wait for it: the highest priority. */
    return shared_thread_start(&r->thread, ready, THREAD_PRIORITY_HIGHEST, r, reader_run, reader_free) ? r : NULL;
}

void table_reader_ask(struct table_reader *r, const struct table_wanted *wanted)
{
    table_talk_ask(&r->talk, wanted);
    SetEvent(r->asked);
}

bool table_reader_has_answer(struct table_reader *r, uint32_t wait_ms)
{
    if (wait_ms && !table_talk_is_answered(&r->talk)) {
        WaitForSingleObject(r->answered, wait_ms);
    }
    return table_talk_is_answered(&r->talk);
}

bool table_reader_next(struct table_reader *r, struct tcptable_row *row)
{
    return r->table && tcptable_next(r->table, row);
}

const uint32_t *table_reader_owners(const struct table_reader *r)
{
    return r->talk.owners;
}

bool table_reader_is_whole(const struct table_reader *r)
{
    return r->talk.whole;
}

bool table_reader_has_sockets(const struct table_reader *r)
{
    return r->talk.sockets;
}

void table_reader_done(struct table_reader *r)
{
    table_talk_done(&r->talk);
}

void table_reader_stop(struct table_reader *r)
{
    if (r) {
        atomic_store(&r->end, true);
        SetEvent(r->asked);
        shared_thread_leave(&r->thread, STOP_WAIT_MS);
    }
}
