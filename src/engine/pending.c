/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "pending.h"

#include <stdlib.h>

static void queue_push(struct pending *p, struct pending_queue *q, uint32_t id)
{
    struct pending_entry *e = &p->entries[id];
    e->next = PENDING_NONE;
    e->prev = q->tail;
    *(e->prev == PENDING_NONE ? &q->head : &p->entries[e->prev].next) = id;
    q->tail = id;
}

static void queue_remove(struct pending *p, struct pending_queue *q, uint32_t id)
{
    struct pending_entry *e = &p->entries[id];
    *(e->prev == PENDING_NONE ? &q->head : &p->entries[e->prev].next) = e->next;
    *(e->next == PENDING_NONE ? &q->tail : &p->entries[e->next].prev) = e->prev;
}

bool pending_init(struct pending *p, uint64_t seed)
{
    *p = (struct pending){.first_free = PENDING_NONE, .free_slot_count = PENDING_HELD_MAX};
    p->held.head = p->held.tail = PENDING_NONE;
    p->decided.head = p->decided.tail = PENDING_NONE;
    p->used.head = p->used.tail = PENDING_NONE;
    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) {
        p->free_slots[i] = PENDING_HELD_MAX - 1 - i;
    }
    p->entries = calloc(PENDING_CAPACITY, sizeof *p->entries);
    p->slots = calloc(PENDING_HELD_MAX, PENDING_HELD_PACKET_MAX);
    if (!p->entries || !p->slots || !tuple_map_init(&p->map, PENDING_CAPACITY, seed)) {
        pending_free(p);
        return false;
    }
    return true;
}

void pending_free(struct pending *p)
{
    free(p->entries);
    free(p->slots);
    p->entries = NULL;
    p->slots = NULL;
    tuple_map_free(&p->map);
}

uint32_t pending_find(const struct pending *p, const struct tuple *tuple)
{
    return tuple_map_find(&p->map, tuple);
}

static struct pending_queue *queue_of(struct pending *p, const struct pending_entry *e)
{
    return e->state == PENDING_HELD ? &p->held : e->state == PENDING_DECIDED ? &p->decided : &p->used;
}

/* Takes an entry out of its queue, and gives back its slot if it has one. */
static void detach(struct pending *p, uint32_t id)
{
    struct pending_entry *e = &p->entries[id];
    queue_remove(p, queue_of(p, e), id);
    if (e->state == PENDING_HELD) {
        p->free_slots[p->free_slot_count++] = e->slot;
    }
}

static void entry_drop(struct pending *p, uint32_t id)
{
    detach(p, id);
    tuple_map_remove(&p->map, id);
    p->entries[id].state = PENDING_FREE;
    p->entries[id].next = p->first_free;
    p->first_free = id;
}

/* A new entry for the tuple, in no queue yet. PENDING_NONE: every entry holds a packet. */
static uint32_t entry_new(struct pending *p, const struct tuple *tuple)
{
    if (p->first_free == PENDING_NONE && p->never_used == PENDING_CAPACITY) {
        uint32_t oldest = p->used.head != PENDING_NONE ? p->used.head : p->decided.head;
        if (oldest == PENDING_NONE) {
            return PENDING_NONE;
        }
        entry_drop(p, oldest);
    }
    uint32_t id = p->first_free;
    if (id != PENDING_NONE) {
        p->first_free = p->entries[id].next;
    } else {
        id = p->never_used++;
    }
    p->entries[id] = (struct pending_entry){.state = PENDING_FREE};
    tuple_map_insert(&p->map, id, tuple);
    return id;
}

/* The entry enters its queue of verdicts, as the youngest. */
static void keep(struct pending *p, uint32_t id, enum pending_state state, uint64_t now_ms)
{
    struct pending_entry *e = &p->entries[id];
    e->state = (uint8_t)state;
    struct pending_queue *queue = queue_of(p, e);
    e->deadline_ms = now_ms + (queue == &p->decided ? PENDING_KEEP_MS : PENDING_USED_MS);
    queue_push(p, queue, id);
}

uint32_t pending_decide(struct pending *p, const struct tuple *tuple, bool redirect, uint32_t pid, uint64_t now_ms)
{
    uint32_t id = pending_find(p, tuple);
    if (id != PENDING_NONE) {
        detach(p, id);
    } else {
        id = entry_new(p, tuple);
    }
    if (id == PENDING_NONE) {
        return id; /* cannot be: fewer packets are held than there are entries */
    }
    p->entries[id].redirect = redirect;
    p->entries[id].pid = pid;
    keep(p, id, PENDING_DECIDED, now_ms);
    return id;
}
static_assert(PENDING_HELD_MAX < PENDING_CAPACITY, "held packets never use up the entries");

void pending_use(struct pending *p, uint32_t entry, uint32_t isn, int64_t syn_time, uint64_t now_ms)
{
    struct pending_entry *e = &p->entries[entry];
    detach(p, entry);
    if (e->state == PENDING_DECIDED) {
        e->isn = isn;
        e->syn_time = syn_time;
    }
    keep(p, entry, PENDING_USED, now_ms);
}

bool pending_hold(struct pending *p, const struct packet *syn, const struct packet_meta *meta, uint64_t deadline_ms)
{
    uint32_t id = pending_find(p, &syn->tuple);
    int64_t before = 0;
    if (id != PENDING_NONE) {
        const struct pending_entry *old = &p->entries[id];
        before = old->state == PENDING_HELD ? old->meta.timestamp : old->syn_time;
        entry_drop(p, id);
    }
    if (!p->free_slot_count || syn->length > PENDING_HELD_PACKET_MAX) {
        return false;
    }
    id = entry_new(p, &syn->tuple);
    if (id == PENDING_NONE) {
        return false;
    }
    struct pending_entry *e = &p->entries[id];
    e->state = PENDING_HELD;
    e->isn = syn->seq;
    e->syn_time = before;
    e->deadline_ms = deadline_ms;
    e->meta = *meta;
    e->length = syn->length;
    e->slot = p->free_slots[--p->free_slot_count];
    memcpy(pending_bytes(p, id), syn->ip, syn->length);
    queue_push(p, &p->held, id);
    return true;
}

uint8_t *pending_release(struct pending *p, uint32_t entry, bool redirect, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *e = &p->entries[entry];
    detach(p, entry);
    e->redirect = redirect;
    e->pid = pid;
    e->syn_time = e->meta.timestamp;
    keep(p, entry, PENDING_USED, now_ms);
    return pending_bytes(p, entry);
}

void pending_expire(struct pending *p, uint64_t now_ms)
{
    struct pending_queue *queues[] = {&p->decided, &p->used};
    for (int i = 0; i < 2; i++) {
        while (queues[i]->head != PENDING_NONE && p->entries[queues[i]->head].deadline_ms <= now_ms) {
            entry_drop(p, queues[i]->head);
        }
    }
}
