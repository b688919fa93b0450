/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "tcp_table.h"

void tcp_table_want(struct engine *e, bool sockets)
{
    e->readings.wanted = true;
    e->readings.wanted_sockets = e->readings.wanted_sockets || sockets;
}

/* Whose owners are wanted of this reading. Gives their number. */
static uint32_t collect_questions(struct engine *e)
{
    uint32_t count = 0;
    for (uint32_t id = e->pending.queues[HELD_FOR_TABLE].head; id != PENDING_NONE; id = e->pending.entries[id].next) {
        struct pending_entry *held = &e->pending.entries[id];
        if (held->meta.outbound && !held->owned) {
            e->questions[count++] = e->pending.map.keys[id];
            held->question = count;
        }
    }
    return count;
}

void tcp_table_begin(struct engine *e, uint64_t now_ms)
{
    struct table_readings *r = &e->readings;
    if (!r->wanted || r->under_way || !e->host.read_table) {
        return;
    }
    r->number++;
    r->begun_ms = now_ms;
    r->under_way = true;
    r->sockets = r->wanted_sockets;
    r->wanted = r->wanted_sockets = false;
    struct table_wanted wanted = {.owners_of = e->questions, .count = collect_questions(e), .sockets = r->sockets};
    e->host.read_table(e->host.context, &wanted);
}

void tcp_table_end(struct engine *e)
{
    e->readings.under_way = false;
    e->readings.answered_ms = e->readings.begun_ms;
}
