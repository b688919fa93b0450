/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: question and answer change hands by table_talk.h, so that the table and its snapshot are
 * always of one thread. GetExtendedTcpTable cannot be cancelled; so the reader has two owners, its thread and its
 * creator, and the last to release it frees it: a thread that hangs in Windows finds everything it uses when it comes
 * back, and there is never more than one.
 */
#include "windows/table_reader.h"

#include "engine/table_talk.h"

#include <stdlib.h>
#include <windows.h>

enum { STOP_WAIT_MS = 100 };

struct table_reader {
    struct tcptable *table;
    struct table_talk talk;
    HANDLE wake, asked, answered, thread;
    atomic_bool end;
    atomic_int owners;
};

static void close_handle(HANDLE handle)
{
    if (handle) {
        CloseHandle(handle);
    }
}

static void release(struct table_reader *r)
{
    if (atomic_fetch_sub(&r->owners, 1) != 1) {
        return;
    }
    tcptable_close(r->table);
    close_handle(r->wake);
    close_handle(r->asked);
    close_handle(r->answered);
    close_handle(r->thread);
    free(r);
}

static DWORD WINAPI reader_thread(void *reader)
{
    struct table_reader *r = reader;
    while (WaitForSingleObject(r->asked, INFINITE) == WAIT_OBJECT_0 && !atomic_load(&r->end)) {
        struct table_talk *talk = &r->talk;
        if (!table_talk_is_asked(talk)) {
            continue;
        }
        bool whole = tcptable_read(r->table, talk->sockets || talk->count);
        tcptable_owners(r->table, talk->owners_of, talk->count, talk->owners);
        table_talk_answer(talk, whole);
        SetEvent(r->answered);
        SetEvent(r->wake);
    }
    release(r);
    return 0;
}

struct table_reader *table_reader_start(void *wake)
{
    struct table_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    atomic_store(&r->owners, 2);
    r->table = tcptable_open();
    r->asked = CreateEventW(NULL, FALSE, FALSE, NULL);
    r->answered = CreateEventW(NULL, FALSE, FALSE, NULL);
    HANDLE self = GetCurrentProcess();
    bool ok = r->table && r->asked && r->answered &&
              DuplicateHandle(self, wake, self, &r->wake, 0, FALSE, DUPLICATE_SAME_ACCESS);
    /* Suspended: it may release the reader, and with it `thread`, at once. */
    r->thread = ok ? CreateThread(NULL, 0, reader_thread, r, CREATE_SUSPENDED, NULL) : NULL;
    if (r->thread) {
        SetThreadPriority(r->thread, THREAD_PRIORITY_HIGHEST); /* SYNs may wait for it */
        ResumeThread(r->thread);
        return r;
    }
    atomic_store(&r->owners, 1);
    release(r);
    return NULL;
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
    return tcptable_next(r->table, row);
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
        WaitForSingleObject(r->thread, STOP_WAIT_MS);
        release(r);
    }
}
