/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file table_talk.h
 * How the engine's thread and the one that reads the TCP table for it pass question and answer to each other: what is
 * in a talk belongs to the one whose turn it is. No lock; nobody waits here.
 */
#ifndef ENGINE_TABLE_TALK_H
#define ENGINE_TABLE_TALK_H

#include "engine_types.h"
#include "pending.h"

#include <stdatomic.h>

/** Of the reader: none, a question is put; of the engine's thread: an answer is there. */
enum table_turn { TABLE_IDLE, TABLE_ASKED, TABLE_ANSWERED };

struct table_talk {
    _Atomic int turn;
    struct tuple owners_of[PENDING_HELD_MAX]; /* the question */
    uint32_t count;
    bool sockets;
    uint32_t owners[PENDING_HELD_MAX]; /* the answer; 0: unknown */
    bool whole;                        /* all that was asked for could be had */
};

/** Puts a question, in TABLE_IDLE. The engine's thread. */
void table_talk_ask(struct table_talk *t, const struct table_wanted *wanted);

/** Whether there is a question: then owners[] is all 0, and the talk is the reader's until it answers. The reader. */
bool table_talk_is_asked(struct table_talk *t);
void table_talk_answer(struct table_talk *t, bool whole);

/** Whether there is an answer: then it is the engine's thread's again, until it is done with it. */
bool table_talk_is_answered(struct table_talk *t);
void table_talk_done(struct table_talk *t);

#endif
