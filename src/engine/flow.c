/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: flows live in one array, taken whole at creation (fresh zero pages cost nothing until used).
 * Both legs of a flow are keys of one tuple map. Time-outs need no heap: each kind of time-out has one length, so a
 * queue in order of entry is in order of deadline too.
 */
#include "flow.h"

#include <stdlib.h>

/* Substituted source ports are looked for from here on: below are the ports that services use. */
enum { FIRST_SUBSTITUTE = 1024 };

enum { SCANS_UNTIL_LOST = 2 };

enum { PORT_OF_QUESTIONS = 53 };

bool flow_table_init(struct flow_table *t, uint32_t capacity, uint64_t seed)
{
    *t = (struct flow_table){
        .capacity = capacity,
        .first_free = FLOW_NONE,
        .next_port = FIRST_SUBSTITUTE,
        .protocol = PROTOCOL_TCP,
        .queue_time_ms =
            {
                [FLOW_QUEUE_OPENING] = FLOW_OPENING_MS,
                [FLOW_QUEUE_FIN] = FLOW_LINGER_FIN_MS,
                [FLOW_QUEUE_RST] = FLOW_LINGER_RST_MS,
            },
    };
    for (int q = 0; q < FLOW_QUEUES; q++) {
        t->queues[q].head = t->queues[q].tail = FLOW_NONE;
    }
    t->flows = calloc(capacity, sizeof *t->flows);
    if (!t->flows || !tuple_map_init(&t->map, 2 * capacity, seed)) {
        flow_table_free(t);
        return false;
    }
    return true;
}

void flow_table_for_udp(struct flow_table *t, uint32_t idle_ms)
{
    t->protocol = PROTOCOL_UDP;
    t->queue_time_ms[FLOW_QUEUE_OPENING] = idle_ms / FLOW_UNANSWERED_SHARE;
    t->queue_time_ms[FLOW_QUEUE_FIN] = FLOW_LINGER_UDP_MS;
    t->queue_time_ms[FLOW_QUEUE_ANSWERED] = idle_ms / FLOW_ANSWERED_SHARE;
    t->queue_time_ms[FLOW_QUEUE_IDLE] = idle_ms;
}

void flow_table_free(struct flow_table *t)
{
    free(t->flows);
    t->flows = NULL;
    tuple_map_free(&t->map);
}

static uint32_t flow_of_number(uint32_t number, enum leg *leg)
{
    *leg = number & 1;
    return number == TUPLE_MAP_NONE ? FLOW_NONE : number / 2;
}

uint32_t flow_find_packet(const struct flow_table *t, uint64_t hash, const struct packet_place *at, uint32_t scope,
                          enum leg *leg)
{
    return flow_of_number(tuple_map_find_raw(&t->map, hash, at->family, at->addresses, at->tcp, scope), leg);
}

uint32_t flow_find(const struct flow_table *t, const struct tuple *tuple, enum leg *leg)
{
    return flow_of_number(tuple_map_find(&t->map, tuple), leg);
}

static void queue_leave(struct flow_table *t, uint32_t id)
{
    struct flow *f = flow_at(t, id);
    if (f->queue == FLOW_QUEUE_NONE) {
        return;
    }
    uint32_t *from_prev = f->queue_prev == FLOW_NONE ? &t->queues[f->queue].head : &t->flows[f->queue_prev].queue_next;
    uint32_t *from_next = f->queue_next == FLOW_NONE ? &t->queues[f->queue].tail : &t->flows[f->queue_next].queue_prev;
    *from_prev = f->queue_next;
    *from_next = f->queue_prev;
    f->queue = FLOW_QUEUE_NONE;
}

static void queue_enter(struct flow_table *t, uint32_t id, enum flow_queue queue, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    queue_leave(t, id);
    f->queue = (uint8_t)queue;
    f->deadline_ms = now_ms + t->queue_time_ms[queue];
    f->queue_next = FLOW_NONE;
    f->queue_prev = t->queues[queue].tail;
    *(f->queue_prev == FLOW_NONE ? &t->queues[queue].head : &t->flows[f->queue_prev].queue_next) = id;
    t->queues[queue].tail = id;
}

uint16_t flow_pick_port(struct flow_table *t, uint16_t wanted)
{
    if (wanted && !t->port_owner[wanted]) {
        return wanted;
    }
    for (uint32_t tries = FIRST_SUBSTITUTE; tries < PORT_COUNT; tries++) {
        uint32_t port = t->next_port;
        t->next_port = port + 1 < PORT_COUNT ? port + 1 : FIRST_SUBSTITUTE;
        if (!t->port_owner[port]) {
            return (uint16_t)port;
        }
    }
    return 0;
}

static uint32_t take_free(struct flow_table *t)
{
    uint32_t id = t->first_free;
    if (id != FLOW_NONE) {
        t->first_free = t->flows[id].queue_next;
        return id;
    }
    return t->never_used < t->capacity ? t->never_used++ : FLOW_NONE;
}

uint32_t flow_open(struct flow_table *t, const struct tuple *original, const struct tuple *steered, uint64_t now_ms)
{
    uint32_t id = take_free(t);
    if (id == FLOW_NONE) {
        return FLOW_NONE;
    }
    struct tuple reply = tuple_reversed(steered);
    struct rewrite_delta delta = rewrite_delta_between(original, steered);
    tuple_map_insert(&t->map, 2 * id + LEG_FORWARD, original);
    tuple_map_insert(&t->map, 2 * id + LEG_REPLY, &reply);
    t->port_owner[be16_to_host(steered->src_port)] = id + 1;
    t->live++;
    t->flows[id] = (struct flow){
        .state = FLOW_OPENING,
        .opened_ms = now_ms,
        .protocol = t->protocol,
        .delta = {delta, rewrite_delta_reversed(delta)},
    };
    queue_enter(t, id, FLOW_QUEUE_OPENING, now_ms);
    return id;
}

/* Bytes of the stream: what is sent again counts once. `control`: SYN and FIN, which take a number each. */
static void count_stream(struct flow *f, enum leg leg, const struct packet *p, uint32_t control)
{
    if (!f->begun[leg]) {
        f->begun[leg] = true;
        f->next_seq[leg] = p->seq;
    }
    uint32_t fresh = p->seq + p->payload + control - f->next_seq[leg];
    if ((int32_t)fresh > 0) {
        f->next_seq[leg] += fresh;
        f->bytes[leg] += fresh > control ? fresh - control : 0;
    }
}

static void count_ack(struct flow *f, enum leg leg, const struct packet *p)
{
    if (p->flags & TCP_ACK) {
        f->last_ack[leg] = p->ack;
        f->acked[leg] = true;
    }
}

static void note_answer(struct flow_table *t, uint32_t id, enum leg leg)
{
    if (flow_at(t, id)->state == FLOW_OPENING && leg == LEG_REPLY) {
        flow_at(t, id)->state = FLOW_OPEN;
        queue_leave(t, id);
    }
}

/* SYN, RST and FIN: what they make of a flow's state. */
static void change_state(struct flow_table *t, uint32_t id, enum leg leg, uint8_t flags, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    if (flags & TCP_SYN && leg == LEG_FORWARD && f->state != FLOW_OPEN) {
        f->state = FLOW_OPENING; /* the program still tries */
        queue_enter(t, id, FLOW_QUEUE_OPENING, now_ms);
    }
    if (flags & TCP_RST) {
        f->state = FLOW_CLOSING;
        if (f->queue != FLOW_QUEUE_RST) {
            queue_enter(t, id, FLOW_QUEUE_RST, now_ms);
        }
    } else if (flags & TCP_FIN) {
        f->fin_seen |= (uint8_t)(1u << leg);
        if (f->fin_seen == 3 && f->state == FLOW_OPEN) {
            f->state = FLOW_CLOSING;
            queue_enter(t, id, FLOW_QUEUE_FIN, now_ms);
        }
    }
}

/* Few packets of a connection; kept out of the way of the others. */
__attribute__((noinline)) static void advance_control(struct flow_table *t, uint32_t id, enum leg leg,
                                                      const struct packet *p, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    uint8_t flags = p->flags;
    if (flags & TCP_SYN && leg == LEG_FORWARD && f->state == FLOW_CLOSING) {
        f->fin_seen = 0; /* refused, and tried again with the same SYN, as Windows does */
        memset(f->acked, 0, sizeof f->acked);
        memset(f->begun, 0, sizeof f->begun);
    }
    f->packets[leg]++;
    if (!(flags & TCP_RST)) { /* whose number need not belong to the stream */
        count_stream(f, leg, p, (uint32_t)(!!(flags & TCP_SYN) + !!(flags & TCP_FIN)));
    }
    count_ack(f, leg, p);
    note_answer(t, id, leg);
    change_state(t, id, leg, flags, now_ms);
}

void flow_advance(struct flow_table *t, uint32_t id, enum leg leg, const struct packet *p, uint64_t now_ms)
{
    if (flow_is_control(p->flags)) {
        advance_control(t, id, leg, p, now_ms);
        return;
    }
    struct flow *f = flow_at(t, id);
    f->packets[leg]++;
    count_stream(f, leg, p, 0);
    count_ack(f, leg, p);
    note_answer(t, id, leg);
}

/* The first answer, or one more question: how long it may be idle changes. */
static enum flow_queue udp_queue_of(const struct flow_table *t, uint32_t id)
{
    const struct flow *f = flow_at(t, id);
    if (f->state == FLOW_OPENING) {
        return FLOW_QUEUE_OPENING;
    }
    bool question = f->packets[LEG_FORWARD] == 1 && be16_to_host(flow_original(t, id)->dst_port) == PORT_OF_QUESTIONS;
    return question ? FLOW_QUEUE_ANSWERED : FLOW_QUEUE_IDLE;
}

__attribute__((noinline)) static void move(struct flow_table *t, uint32_t id, enum leg leg, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    f->state = leg == LEG_REPLY ? FLOW_OPEN : f->state;
    queue_enter(t, id, udp_queue_of(t, id), now_ms);
}

void flow_advance_datagram(struct flow_table *t, uint32_t id, enum leg leg, uint32_t payload, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    f->packets[leg]++;
    f->bytes[leg] += payload;
    if (f->state == FLOW_CLOSING) {
        return;
    }
    f->last_ms = now_ms;
    uint64_t entered_ms = f->deadline_ms - t->queue_time_ms[f->queue];
    bool opens = leg == LEG_REPLY && f->state == FLOW_OPENING;
    bool asks_again = leg == LEG_FORWARD && f->queue == FLOW_QUEUE_ANSWERED;
    if (opens || asks_again || now_ms - entered_ms >= t->queue_time_ms[FLOW_QUEUE_IDLE] / FLOW_IDLE_STEPS) {
        move(t, id, leg, now_ms);
    }
}

void flow_linger(struct flow_table *t, uint32_t id, int64_t closed_at, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    f->state = FLOW_CLOSING;
    f->kind = FLOW_ENDED;
    f->closed_at = closed_at;
    queue_enter(t, id, FLOW_QUEUE_FIN, now_ms);
}

void flow_unkey(struct flow_table *t, uint32_t id)
{
    tuple_map_remove(&t->map, 2 * id + LEG_FORWARD);
    flow_at(t, id)->unkeyed = true;
}

/* Those of UDP that have not ended. */
static const enum flow_queue living[] = {FLOW_QUEUE_OPENING, FLOW_QUEUE_ANSWERED, FLOW_QUEUE_IDLE};

enum { LIVING = sizeof living / sizeof *living };

uint32_t flow_most_idle(const struct flow_table *t)
{
    uint32_t most = FLOW_NONE;
    for (uint32_t i = 0; i < LIVING; i++) {
        uint32_t id = t->queues[living[i]].head;
        if (id != FLOW_NONE && (most == FLOW_NONE || t->flows[id].last_ms < t->flows[most].last_ms)) {
            most = id;
        }
    }
    return most;
}

uint32_t flow_next_living(const struct flow_table *t, uint32_t id)
{
    uint32_t i = 0;
    if (id != FLOW_NONE) {
        if (t->flows[id].queue_next != FLOW_NONE) {
            return t->flows[id].queue_next;
        }
        while (i < LIVING && living[i] != t->flows[id].queue) {
            i++;
        }
        i++;
    }
    while (i < LIVING && t->queues[living[i]].head == FLOW_NONE) {
        i++;
    }
    return i < LIVING ? t->queues[living[i]].head : FLOW_NONE;
}

void flow_close(struct flow_table *t, uint32_t id)
{
    struct flow *f = flow_at(t, id);
    struct tuple steered = flow_steered(t, id);
    queue_leave(t, id);
    t->port_owner[be16_to_host(steered.src_port)] = 0;
    if (!f->unkeyed) {
        tuple_map_remove(&t->map, 2 * id + LEG_FORWARD);
    }
    tuple_map_remove(&t->map, 2 * id + LEG_REPLY);
    f->state = FLOW_FREE;
    f->queue_next = t->first_free;
    t->first_free = id;
    t->live--;
}

/* Whether a packet has come since it took its place: it gets the one that is due to it. */
static bool is_refreshed(struct flow_table *t, uint32_t id, uint64_t now_ms)
{
    struct flow *f = flow_at(t, id);
    if (t->protocol != PROTOCOL_UDP || f->state == FLOW_CLOSING) {
        return false;
    }
    uint64_t deadline_ms = f->last_ms + t->queue_time_ms[f->queue];
    if (deadline_ms <= now_ms) {
        return false;
    }
    queue_enter(t, id, f->queue, now_ms);
    f->deadline_ms = deadline_ms;
    return true;
}

uint32_t flow_expired(struct flow_table *t, uint64_t now_ms)
{
    for (int q = 0; q < FLOW_QUEUES; q++) {
        uint32_t id = t->queues[q].head;
        for (; id != FLOW_NONE && t->flows[id].deadline_ms <= now_ms; id = t->queues[q].head) {
            if (!is_refreshed(t, id, now_ms)) {
                return id;
            }
        }
    }
    return FLOW_NONE;
}

void flow_scan_row(struct flow_table *t, const struct tuple *row)
{
    enum leg leg;
    uint32_t id = flow_find(t, row, &leg);
    if (id == FLOW_NONE && row->scope) { /* over loopback, a packet has none */
        struct tuple unscoped = *row;
        unscoped.scope = 0;
        id = flow_find(t, &unscoped, &leg);
    }
    if (id != FLOW_NONE) {
        t->flows[id].seen = true;
    }
}

void flow_scan_end(struct flow_table *t, uint64_t begun_ms)
{
    for (uint32_t id = 0; id < t->never_used; id++) {
        struct flow *f = flow_at(t, id);
        bool was_there = f->seen || f->state != FLOW_OPEN || f->opened_ms > begun_ms;
        f->missed = was_there ? 0 : (uint8_t)(f->missed + 1);
        f->seen = false;
    }
}

uint32_t flow_lost(const struct flow_table *t, uint32_t from)
{
    for (uint32_t id = from; id < t->never_used; id++) {
        if (t->flows[id].state == FLOW_OPEN && t->flows[id].missed >= SCANS_UNTIL_LOST) {
            return id;
        }
    }
    return FLOW_NONE;
}

uint32_t flow_oldest_closing(const struct flow_table *t)
{
    uint32_t id = t->queues[FLOW_QUEUE_RST].head; /* of UDP there are none */
    return id != FLOW_NONE ? id : t->queues[FLOW_QUEUE_FIN].head;
}
