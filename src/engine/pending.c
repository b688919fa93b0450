/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "pending.h"

#include <stdlib.h>

/* The entry enters the queue of a state, behind those that are due before it. */
static void enter(struct pending *p, uint32_t id, enum pending_state state, uint64_t deadline_ms)
{
    struct pending_entry *e = &p->entries[id];
    struct pending_queue *q = &p->queues[state];
    e->state = (uint8_t)state;
    e->deadline_ms = deadline_ms;
    e->next = PENDING_NONE;
    e->prev = q->tail;
    while (e->prev != PENDING_NONE && p->entries[e->prev].deadline_ms > deadline_ms) {
        e->next = e->prev;
        e->prev = p->entries[e->prev].prev;
    }
    *(e->prev == PENDING_NONE ? &q->head : &p->entries[e->prev].next) = id;
    *(e->next == PENDING_NONE ? &q->tail : &p->entries[e->next].prev) = id;
}

static void leave(struct pending *p, uint32_t id)
{
    struct pending_entry *e = &p->entries[id];
    struct pending_queue *q = &p->queues[e->state];
    *(e->prev == PENDING_NONE ? &q->head : &p->entries[e->prev].next) = e->next;
    *(e->next == PENDING_NONE ? &q->tail : &p->entries[e->next].prev) = e->prev;
}

bool pending_init(struct pending *p, uint64_t seed)
{
    *p = (struct pending){.first_free = PENDING_NONE, .free_slot_count = PENDING_HELD_MAX};
    for (int state = 0; state < PENDING_STATES; state++) {
        p->queues[state].head = p->queues[state].tail = PENDING_NONE;
    }
    for (uint32_t i = 0; i < PENDING_HELD_MAX; i++) {
        p->free_slots[i] = PENDING_HELD_MAX - 1 - i;
    }
    p->entries = calloc(PENDING_CAPACITY, sizeof *p->entries);
    p->slots = malloc((size_t)PENDING_HELD_MAX * PENDING_HELD_PACKET_MAX);
    p->newest = calloc((size_t)PENDING_FAMILIES * PORT_COUNT, sizeof *p->newest);
    if (!p->entries || !p->slots || !p->newest || !tuple_map_init(&p->map, PENDING_CAPACITY, seed)) {
        pending_free(p);
        return false;
    }
    return true;
}

void pending_free(struct pending *p)
{
    free(p->entries);
    free(p->slots);
    free(p->newest);
    p->entries = NULL;
    p->slots = NULL;
    p->newest = NULL;
    tuple_map_free(&p->map);
}

uint32_t pending_find(const struct pending *p, const struct tuple *tuple)
{
    return tuple_map_find(&p->map, tuple);
}

static uint16_t *newest_of_port(const struct pending *p, const struct tuple *tuple)
{
    return &p->newest[(tuple->family == FAMILY_IP6 ? PORT_COUNT : 0) + be16_to_host(tuple->src_port)];
}

uint32_t pending_newest_of_port(const struct pending *p, const struct tuple *tuple)
{
    uint32_t id = *newest_of_port(p, tuple);
    const struct tuple *key = &p->map.keys[id];
    bool there = p->entries[id].state != PENDING_FREE && key->src_port.wire == tuple->src_port.wire &&
                 key->family == tuple->family;
    return there ? id : PENDING_NONE;
}

/* Takes an entry out of its queue, and gives back its slot if it has one. */
static void detach(struct pending *p, uint32_t id)
{
    struct pending_entry *e = &p->entries[id];
    leave(p, id);
    if (pending_is_held(e)) {
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
        uint32_t used = p->queues[PENDING_USED].head;
        uint32_t oldest = used != PENDING_NONE ? used : p->queues[PENDING_DECIDED].head;
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
    *newest_of_port(p, tuple) = (uint16_t)id;
    return id;
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
    *newest_of_port(p, tuple) = (uint16_t)id;
    struct pending_entry *e = &p->entries[id];
    e->redirect = redirect;
    e->pid = pid;
    e->decision_id = 0;
    e->decision = DECISION_NONE;
    e->unsure = false;
    e->block = false;
    e->upstream = 0;
    enter(p, id, PENDING_DECIDED, now_ms + PENDING_KEEP_MS);
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
    enter(p, entry, PENDING_USED, now_ms + PENDING_USED_MS);
}

bool pending_hold(struct pending *p, const struct packet *syn, const struct packet_meta *meta, enum pending_state state,
                  uint64_t deadline_ms)
{
    uint32_t id = pending_find(p, &syn->tuple);
    int64_t before = 0;
    if (id != PENDING_NONE) {
        const struct pending_entry *old = &p->entries[id];
        before = pending_is_held(old) ? old->meta.timestamp : old->syn_time;
        entry_drop(p, id);
    }
    if (!pending_has_room(p, syn->length)) {
        return false;
    }
    id = entry_new(p, &syn->tuple);
    if (id == PENDING_NONE) {
        return false;
    }
    struct pending_entry *e = &p->entries[id];
    e->isn = syn->seq;
    e->syn_time = before;
    e->meta = *meta;
    e->length = syn->length;
    e->slot = p->free_slots[--p->free_slot_count];
    memcpy(pending_bytes(p, id), syn->ip, syn->length);
    enter(p, id, state, deadline_ms);
    return true;
}

void pending_hold_on(struct pending *p, uint32_t entry, enum pending_state state, uint64_t deadline_ms)
{
    leave(p, entry);
    enter(p, entry, state, deadline_ms);
}

uint8_t *pending_release(struct pending *p, uint32_t entry, bool redirect, uint32_t pid, uint64_t now_ms)
{
    struct pending_entry *e = &p->entries[entry];
    detach(p, entry);
    e->redirect = redirect;
    e->pid = pid;
    e->syn_time = e->meta.timestamp;
    enter(p, entry, PENDING_USED, now_ms + PENDING_USED_MS);
    return pending_bytes(p, entry);
}

void pending_expire(struct pending *p, uint64_t now_ms)
{
    for (enum pending_state state = PENDING_DECIDED; state <= PENDING_USED; state++) {
        const struct pending_queue *queue = &p->queues[state];
        while (queue->head != PENDING_NONE && p->entries[queue->head].deadline_ms <= now_ms) {
            entry_drop(p, queue->head);
        }
    }
}
