/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: question and answer change hands by table_talk.h, so that the table and its snapshot are
 * always of one thread. Windows' call cannot be cancelled, so the thread is a shared one (shared_thread.h); there
 * is never more than one. It loads the library, too, with the first question; if that fails, with the next one.
 */
#include "windows/table_reader.h"
#include "windows/shared_thread.h"
#include "windows/udptable.h"

#include "engine/table_talk.h"

#include <stdlib.h>
#include <windows.h>

enum { STOP_WAIT_MS = 100 };

struct table_reader {
    uint8_t protocol;
    struct tcptable *tcp; /* NULL: not opened yet, or the other protocol's */
    struct udptable *udp;
    struct table_talk talk;
    struct shared_thread thread;
    HANDLE wake, asked, answered;
    atomic_bool end;
};

static void reader_free(void *reader)
{
    struct table_reader *r = reader;
    tcptable_close(r->tcp);
    udptable_close(r->udp);
    shared_thread_close_event(r->wake);
    shared_thread_close_event(r->asked);
    shared_thread_close_event(r->answered);
    free(r);
}

static bool read_tcp(struct table_reader *r, struct table_talk *talk)
{
    r->tcp = r->tcp ? r->tcp : tcptable_open();
    if (!r->tcp) {
        return false; /* talk->owners is all 0 */
    }
    bool whole = tcptable_read(r->tcp, talk->sockets || talk->count);
    tcptable_owners(r->tcp, talk->owners_of, talk->count, talk->owners);
    return whole;
}

static bool read_udp(struct table_reader *r)
{
    r->udp = r->udp ? r->udp : udptable_open();
    return r->udp && udptable_read(r->udp);
}

static void reader_run(void *reader)
{
    struct table_reader *r = reader;
    while (WaitForSingleObject(r->asked, INFINITE) == WAIT_OBJECT_0 && !atomic_load(&r->end)) {
        struct table_talk *talk = &r->talk;
        if (!table_talk_is_asked(talk)) {
            continue;
        }
        bool whole = r->protocol == PROTOCOL_TCP ? read_tcp(r, talk) : read_udp(r);
        table_talk_answer(talk, whole);
        SetEvent(r->answered);
        SetEvent(r->wake);
    }
}

struct table_reader *table_reader_start(void *wake, uint8_t protocol)
{
    struct table_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->protocol = protocol;
    r->asked = CreateEventW(NULL, FALSE, FALSE, NULL);
    r->answered = CreateEventW(NULL, FALSE, FALSE, NULL);
    bool ready = r->asked && r->answered && shared_thread_keep_event(wake, &r->wake);
    /* Packets may wait for it: the highest priority. */
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
    if (r->protocol == PROTOCOL_TCP) {
        return r->tcp && tcptable_next(r->tcp, row);
    }
    row->listens = false;
    return r->udp && udptable_next(r->udp, &row->tuple, &row->pid);
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
