/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an id is a count times DECISIONS_MAX plus the number of its place, so it is never given twice
 * and says where it is. Whoever takes a connection copies it first and swaps the word then: had the place got another
 * connection meanwhile, its word would be another. What is copied are relaxed atomics: a torn copy is possible and is
 * thrown away, but it is no data race. A decision sets the bit of its place, so that the writer looks at nothing else.
 */
#include "decisions.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The low bits of a word; to DECIDED the decision is added. */
enum { FREE, ASKED, TAKEN, DECIDED, STATE_BITS = 3, STATE_MASK = (1 << STATE_BITS) - 1 };
enum { TUPLE_WORDS = sizeof(struct tuple) / sizeof(uint64_t), MAP_WORDS = DECISIONS_MAX / 64 };
static_assert((int)DECIDED + (int)DECISION_DROP <= (int)STATE_MASK, "each decision is a state of its own");
static_assert(DECISIONS_MAX % 64 == 0, "a bit for each place");

struct place {
    _Atomic uint64_t word; /* id and state */
    _Atomic uint64_t tuple[TUPLE_WORDS];
    _Atomic uint32_t pid, upstream;
    uint32_t entry; /* writer's */
};

struct decisions {
    struct place places[DECISIONS_MAX];
    _Atomic uint64_t decided[MAP_WORDS];             /* places that have something for the writer */
    uint32_t free_places[DECISIONS_MAX], free_count; /* writer's, as is the rest */
    uint64_t count;
};

static struct place *place_of(struct decisions *d, uint64_t id)
{
    return &d->places[id % DECISIONS_MAX];
}

static uint64_t word_of(uint64_t id, uint32_t state)
{
    return id << STATE_BITS | state;
}

static enum decision decision_in(uint64_t word)
{
    uint32_t state = word & STATE_MASK;
    return state > DECIDED ? (enum decision)(state - DECIDED) : DECISION_NONE;
}

struct decisions *decisions_new(void)
{
    struct decisions *d = calloc(1, sizeof *d);
    for (uint32_t i = 0; d && i < DECISIONS_MAX; i++) {
        d->free_places[d->free_count++] = i;
    }
    return d;
}

void decisions_free(struct decisions *d)
{
    free(d);
}

bool decisions_have_room(const struct decisions *d)
{
    return d->free_count != 0;
}

uint64_t decisions_ask(struct decisions *d, const struct undecided *connection, uint32_t entry)
{
    uint64_t id = ++d->count * DECISIONS_MAX + d->free_places[--d->free_count];
    struct place *p = place_of(d, id);
    uint64_t words[TUPLE_WORDS];
    memcpy(words, &connection->tuple, sizeof words);
    atomic_thread_fence(memory_order_release); /* whoever reads a word of it finds the place FREE, or later */
    for (int i = 0; i < TUPLE_WORDS; i++) {
        atomic_store_explicit(&p->tuple[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&p->pid, connection->pid, memory_order_relaxed);
    atomic_store_explicit(&p->upstream, connection->upstream, memory_order_relaxed);
    p->entry = entry;
    atomic_store_explicit(&p->word, word_of(id, ASKED), memory_order_release);
    return id;
}

enum decision decisions_withdraw(struct decisions *d, uint64_t id)
{
    uint64_t word = atomic_exchange_explicit(&place_of(d, id)->word, word_of(id, FREE), memory_order_relaxed);
    d->free_places[d->free_count++] = (uint32_t)(id % DECISIONS_MAX);
    return decision_in(word);
}

enum decision decisions_next(struct decisions *d, uint32_t *entry)
{
    for (uint32_t i = 0; i < MAP_WORDS; i++) {
        while (atomic_load_explicit(&d->decided[i], memory_order_relaxed)) {
            uint64_t bits = atomic_load_explicit(&d->decided[i], memory_order_relaxed);
            uint32_t bit = (uint32_t)__builtin_ctzll(bits);
            atomic_fetch_and_explicit(&d->decided[i], ~((uint64_t)1 << bit), memory_order_acquire);
            struct place *p = &d->places[i * 64 + bit];
            uint64_t word = atomic_load_explicit(&p->word, memory_order_relaxed);
            if (decision_in(word)) { /* else it was withdrawn, and another may have its place */
                *entry = p->entry;
                return decisions_withdraw(d, word >> STATE_BITS);
            }
        }
    }
    return DECISION_NONE;
}

/* The place of the oldest connection that nobody has taken, and its word; NULL: there is none. */
static struct place *oldest_asked(struct decisions *d, uint64_t *word)
{
    struct place *oldest = NULL;
    for (uint32_t i = 0; i < DECISIONS_MAX; i++) {
        uint64_t other = atomic_load_explicit(&d->places[i].word, memory_order_acquire);
        if ((other & STATE_MASK) == ASKED && (!oldest || other < *word)) {
            oldest = &d->places[i];
            *word = other;
        }
    }
    return oldest;
}

bool decisions_take(struct decisions *d, struct undecided *out)
{
    struct place *p;
    uint64_t word = 0;
    while ((p = oldest_asked(d, &word)) != NULL) {
        uint64_t words[TUPLE_WORDS];
        for (int i = 0; i < TUPLE_WORDS; i++) {
            words[i] = atomic_load_explicit(&p->tuple[i], memory_order_relaxed);
        }
        out->pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
        out->upstream = atomic_load_explicit(&p->upstream, memory_order_relaxed);
        out->id = word >> STATE_BITS;
        // cppcheck-suppress uninitvar; the loop fills them
        memcpy(&out->tuple, words, sizeof words);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_compare_exchange_strong_explicit(&p->word, &word, word_of(out->id, TAKEN), memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

bool decisions_decide(struct decisions *d, uint64_t id, enum decision decision)
{
    uint32_t place = id % DECISIONS_MAX;
    uint64_t taken = word_of(id, TAKEN), decided = word_of(id, DECIDED + (uint32_t)decision);
    if (id >> (64 - STATE_BITS) ||
        !atomic_compare_exchange_strong_explicit(&place_of(d, id)->word, &taken, decided, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        return false;
    }
    atomic_fetch_or_explicit(&d->decided[place / 64], (uint64_t)1 << place % 64, memory_order_release);
    return true;
}
