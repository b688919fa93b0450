/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file sequences.h
 * Sequences of connections, packets, events and ticks, against a model that knows the rules and nothing of the engine.
 *
 * Theory of operation: a dozen 4-tuples share three local ports, so that their flows compete for source ports. Each
 * step is one decision after another of `m.r`: random ones in test_sequences.c, a fuzzer's in fuzz/connections.c. The
 * model says for every packet what must become of it, byte for byte, and for every held SYN by when and in which form
 * it must leave. At the end of a sequence everything is closed, and the engine must be empty.
 */
#ifndef TESTS_SEQUENCES_H
#define TESTS_SEQUENCES_H

#include "model.h"

static inline void first_syn(struct connection *c)
{
    m.f->loopback = c->loopback;
    bool decided = c->event_came;
    bool room = !m.few || flows_now() < FEW_FLOWS;
    enum verdict verdict = send_syn(m.f, &c->tuple, c->isn);
    c->may_retransmit = true;
    if (c->direct) {
        if (room) {
            becomes_flow(c, &m.f->last);
        } else {
            m.refused++;
            c->phase = PASSING;
            c->may_retransmit = false;
        }
    } else if (!decided) {
        assert_int_equal(verdict, VERDICT_HOLD);
        c->phase = HELD;
        c->redirect = c->known_owner && is_member(c->known_owner);
        c->pid = c->known_owner ? c->known_owner : c->pid;
    } else if (c->redirect && m.deciding) {
        assert_int_equal(verdict, VERDICT_HOLD);
        c->phase = HELD;
        take_questions();
        assert_int_equal(c->phase, ASKED);
    } else if (c->redirect && room) {
        assert_int_equal(verdict, VERDICT_REWRITE);
        becomes_flow(c, &m.f->last);
    } else {
        assert_int_equal(verdict, VERDICT_PASS);
        m.refused += c->redirect;
        c->may_retransmit = !c->redirect;
        c->phase = PASSING;
    }
}

/* A new connection on the tuple, whatever was there before: the event first, or the SYN. */
static inline void step_connect(struct connection *c)
{
    if (c->phase == HELD || c->phase == ASKED) {
        return;
    }
    c->answer = DECISION_NONE;
    c->question = 0;
    c->pid = owners[rng_below(&m.r, sizeof owners / sizeof *owners)].pid;
    c->isn = m.next_isn += 1 + rng_below(&m.r, 100000);
    c->known_owner = rng_below(&m.r, 2) ? c->pid : 0;
    c->since = m.f->world.now;
    c->event_came = false;
    c->event_time = EARLY + ++m.f->world.clock; /* before its SYN, even if it comes behind it */
    if (c->phase == FLOW) {                     /* the old flow is over by now (L1) */
        met.reused++;
    } else {
        c->phase = IDLE;
    }
    if (rng_below(&m.r, 2)) {
        event_of(c);
    }
    c->phase = IDLE;
    first_syn(c);
}

/* The event of a SYN that came first: in time, or too late. */
static inline void step_event(struct connection *c)
{
    bool waits = c->phase == HELD || c->phase == ASKED;
    if (c->event_came || (!waits && c->phase != PASSING) || m.f->world.now - c->since >= EVENT_KEPT_MS) {
        return;
    }
    bool late = c->phase == PASSING;
    event_of(c);
    if (!late) {
        assert_int_not_equal(c->phase, HELD);
    }
}

static inline void step_retransmit(struct connection *c)
{
    m.f->loopback = c->loopback;
    if (c->phase == HELD || c->phase == ASKED) {
        assert_int_equal(send_syn(m.f, &c->tuple, c->isn), VERDICT_DROP);
    } else if (c->phase == AWAY && m.f->world.now - c->since < EVENT_KEPT_MS) { /* the same answer again */
        assert_int_equal(send_syn(m.f, &c->tuple, c->isn), VERDICT_DROP);
        assert_int_equal(m.f->injected_count, c->answer == DECISION_REFUSE);
        take_injected();
    } else if (c->phase == PASSING && c->may_retransmit && m.f->world.now - c->since < EVENT_KEPT_MS) {
        assert_int_equal(send_syn(m.f, &c->tuple, c->isn), VERDICT_PASS); /* never in mid-handshake (O2) */
    } else if (c->phase == FLOW && !c->closing) {
        met.retransmitted++;
        expect_translated(syn_of(&c->tuple, c->isn), c, &c->seen, true);
        c->ends = c->answered ? c->ends : m.f->world.now + OPENING_MS;
    }
}

static inline void step_data(struct connection *c)
{
    uint32_t payload = rng_below(&m.r, 4) ? rng_below(&m.r, 100) : rng_below(&m.r, 20000);
    struct segment s = data_of(&c->tuple, (uint32_t)rng_next(&m.r), (uint32_t)rng_next(&m.r), payload);
    m.f->loopback = c->loopback;
    if (c->phase == IDLE || c->phase == PASSING) {
        assert_int_equal(send_segment(m.f, s), VERDICT_PASS);
    } else if (c->phase == FLOW && !c->closing) {
        expect_translated(s, c, &c->seen, true);
    }
}

static inline void step_reply(struct connection *c)
{
    struct tuple from = tuple_reversed(&c->seen), back = tuple_reversed(&c->tuple);
    if (c->phase == FLOW && !c->closing) {
        struct segment s = data_of(&from, (uint32_t)rng_next(&m.r), (uint32_t)rng_next(&m.r), rng_below(&m.r, 300));
        expect_translated(s, c, &back, c->loopback);
        c->answered = true;
        c->ends = UINT64_MAX;
    }
}

static inline void step_fin(struct connection *c)
{
    if (c->phase != FLOW || c->closing || !c->answered || m.few) {
        return;
    }
    struct tuple from = tuple_reversed(&c->seen), back = tuple_reversed(&c->tuple);
    bool program = rng_below(&m.r, 2);
    expect_translated(fin_of(program ? &c->tuple : &from, 1, 2), c, program ? &c->seen : &back, program || c->loopback);
    c->fins |= program ? 1 : 2;
    c->closing = c->fins == 3;
    c->ends = c->closing ? m.f->world.now + LINGER_FIN_MS : UINT64_MAX;
}

static inline void reset(struct connection *c)
{
    expect_translated(rst_of(&c->tuple, 1, 2), c, &c->seen, true);
    c->closing = true;
    c->ends = m.f->world.now + LINGER_RST_MS;
}

static inline void step_reset(struct connection *c)
{
    if (c->phase == FLOW && !c->closing && !m.few) {
        reset(c);
    }
}

static inline void step_delete(struct connection *c)
{
    if (c->phase == FLOW) {
        assert_int_equal(destinations_delete(engine_destinations(m.f->world.engine), source_port(&c->seen), NULL, NULL),
                         c->mapped);
        c->mapped = false;
    }
}

/* Somebody decides; the engine sees it at its next tick, now or later. */
static inline void step_decide(struct connection *c)
{
    if (c->phase == ASKED && !c->answer) {
        c->answer = (enum decision)(1 + rng_below(&m.r, DECISION_DROP));
        met.decided[c->answer]++;
        assert_true(decisions_decide(engine_decisions(m.f->world.engine), c->question, c->answer));
        if (rng_below(&m.r, 2)) {
            pass_time(m.f, 0);
            time_passed();
        }
    } else if (m.deciding && c->question && c->phase != ASKED) {
        assert_false(decisions_decide(engine_decisions(m.f->world.engine), c->question, DECISION_REFUSE));
    }
}

/* The program closes its socket while it connects. */
static inline void step_give_up(struct connection *c)
{
    if (c->phase == ASKED && !c->answer) {
        send_event(m.f, SOCKET_CLOSE, c->pid, &c->tuple);
        c->phase = IDLE;
        met.given_up++;
    }
}

/* Ticks, close enough together for what is held; or a long wait when nothing is. */
static inline void step_time(void)
{
    uint64_t ms = 1 + rng_below(&m.r, TICK_MS);
    if (held_now(m.f) == 0 && rng_below(&m.r, 4) == 0) {
        ms = rng_below(&m.r, 2) ? rng_below(&m.r, 3000) : rng_below(&m.r, 40000);
    }
    pass_time(m.f, ms);
    time_passed();
    expire_by_clock();
}

static inline void random_step(void)
{
    static void (*const steps[])(struct connection *) = {
        step_connect, step_connect, step_event, step_event,  step_retransmit, step_data,    step_reply,
        step_reply,   step_fin,     step_reset, step_delete, step_decide,     step_give_up,
    };
    uint32_t which = rng_below(&m.r, sizeof steps / sizeof *steps + 5);
    if (which < sizeof steps / sizeof *steps) {
        steps[which](&m.all[rng_below(&m.r, CONNECTIONS)]);
    } else {
        step_time();
    }
    check_always();
}

/* Closes what is open. Then nothing may be left. */
static inline void end(void)
{
    uint16_t ports[CONNECTIONS];
    for (int ms = 0; ms < HOLD_MS + DECIDE_MS; ms += TICK_MS) {
        pass_time(m.f, TICK_MS);
        time_passed();
        expire_by_clock();
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (m.all[i].phase == FLOW && !m.all[i].closing) {
            reset(&m.all[i]);
        }
        ports[i] = source_port(&m.all[i].seen);
    }
    pass_time(m.f, OPENING_MS);
    const struct engine *e = m.f->world.engine;
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_true(maps_nothing(m.f, ports[i]) && maps_nothing(m.f, source_port(&m.all[i].tuple)));
    }
    assert_int_equal(e->flows.live, 0);
    assert_int_equal(COUNTER(m.f, flows_live), 0);
    assert_int_equal(m.f->world.flows_begun, m.f->world.flows_ended);
    for (enum pending_state state = PENDING_DECIDED; state < PENDING_STATES; state++) {
        assert_int_equal(e->pending.queues[state].head, PENDING_NONE);
    }
    assert_int_equal(e->pending.free_slot_count, PENDING_HELD_MAX);
    uint32_t owned = 0;
    for (uint32_t port = 0; port < 65536; port++) {
        owned += e->flows.port_owner[port] != 0;
    }
    assert_int_equal(owned, 0);
    met.refused += m.refused;
    fixture_free(m.f);
    m.f = NULL;
}

#include "sequence_run.h"

#endif
