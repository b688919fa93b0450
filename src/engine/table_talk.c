/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "table_talk.h"

#include <string.h>

static void pass(struct table_talk *t, enum table_turn turn)
{
    atomic_store_explicit(&t->turn, turn, memory_order_release);
}

static bool is(struct table_talk *t, enum table_turn turn)
{
    return atomic_load_explicit(&t->turn, memory_order_acquire) == (int)turn;
}

void table_talk_ask(struct table_talk *t, const struct table_wanted *wanted)
{
    t->count = wanted->count;
    t->sockets = wanted->sockets;
    memcpy(t->owners_of, wanted->owners_of, wanted->count * sizeof *t->owners_of);
    memset(t->owners, 0, wanted->count * sizeof *t->owners);
    pass(t, TABLE_ASKED);
}

bool table_talk_is_asked(struct table_talk *t)
{
    return is(t, TABLE_ASKED);
}

void table_talk_answer(struct table_talk *t, bool whole)
{
    t->whole = whole;
    pass(t, TABLE_ANSWERED);
}

bool table_talk_is_answered(struct table_talk *t)
{
    return is(t, TABLE_ANSWERED);
}

void table_talk_done(struct table_talk *t)
{
    pass(t, TABLE_IDLE);
}
