/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file machine_sequences.h
 * Sequences on a whole machine: programs and proxies that open and close their ports, rules that change, sockets that
 * vanish without a word; connections from outside, within the machine and to the outside. Against a model that knows
 * the rules only. (sequences.h has what SYNs and their events do to each other; here events come first.)
 *
 * Theory of operation: the connections share two source ports, so that their flows compete for them. Each new SYN is
 * judged by the model from the machine's state at that moment; from then on every packet of the connection must come
 * out as that judgement says, byte for byte, whatever changes on the machine meanwhile. Decisions come from `m.r`:
 * random ones in test_machine_sequences.c, a fuzzer's in fuzz/machine.c.
 */
#ifndef TESTS_MACHINE_SEQUENCES_H
#define TESTS_MACHINE_SEQUENCES_H

#include "machine_model.h"

static inline void begin(uint64_t seed, struct rng decisions)
{
    struct engine_config config = machine_config();
    memset(&m, 0, sizeof m);
    m.seed = seed;
    m.r = decisions;
    m.next_isn = (uint32_t)rng_next(&m.r);
    config.max_flows = FLOWS_MAX;
    config.seed = seed;
    m.f = machine_bare_new(&config);
    process_starts(m.f, OTHER, 500, STRANGER, 400);
    memcpy(m.servers, servers, sizeof servers);
    memcpy(m.proxies, proxies, sizeof proxies);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        uint32_t k = i / 2;
        m.all[i].tuple = tuple_of(ends[k].src, (uint16_t)(50000 + i % 2), ends[k].dst, ends[k].port);
        m.all[i].way = ends[k].way;
    }
}

static inline struct tuple proxys_end(const struct connection *c)
{
    return tuple_reversed(&c->seen);
}

static inline void over(struct connection *c)
{
    if (c->has_row) {
        struct tuple row = proxys_end(c);
        world_row_remove(&m.f->world.connected, &row);
    }
    c->flow = c->has_row = false;
    c->missed = 0;
}

static inline enum verdict sends(const struct connection *c, struct segment s)
{
    m.f->loopback = c->way == WITHIN;
    enum verdict verdict = c->way == IN ? arrives(m.f, s) : send_segment(m.f, s);
    return verdict;
}

/* What came out is what is built afresh for `want`. */
static inline void expect(struct segment s, const struct tuple *want, bool outbound)
{
    static struct made fresh;
    s.tuple = *want;
    make(&fresh, &s);
    assert_int_equal(m.f->last.length, fresh.length);
    assert_memory_equal(m.f->last.bytes, fresh.bytes, fresh.length);
    assert_int_equal(m.f->last.meta.outbound, outbound);
}

static inline struct tuple steered(const struct connection *c)
{
    struct tuple want = at_port(&c->tuple, c->incoming ? INCOMING_PORT : PROXY_PORT);
    if (!c->incoming) {
        want.src = want.dst = ip_addr_loopback(want.family);
    }
    return want;
}

static inline void step_connect(struct connection *c)
{
    uint32_t opener = pids[rng_below(&m.r, sizeof pids / sizeof *pids)];
    over(c); /* whatever it was (L1) */
    c->isn = m.next_isn += 1 + rng_below(&m.r, 100000);
    m.f->loopback = c->way == WITHIN;
    if (c->way != IN) {
        connects(m.f, opener, &c->tuple);
    }
    bool led = is_led(c, opener, &c->incoming, &c->pid);
    met.ruled += led && m.rules && (c->pid == STRANGER || c->pid == ROOT);
    assert_int_equal(sends(c, syn_of(&c->tuple, c->isn)), led ? VERDICT_REWRITE : VERDICT_PASS);
    c->flow = led;
    c->passing = !led;
    if (led) {
        struct tuple want = steered(c);
        c->answered = false;
        c->begun_ms = m.f->world.now;
        c->seen = tuple_in(&m.f->last);
        if (port_in_use(source_port(&want), c)) {
            assert_false(port_in_use(source_port(&c->seen), c)); /* O3 */
            want.src_port = c->seen.src_port;
            met.substituted++;
        }
        expect(syn_of(&c->tuple, c->isn), &want, c->way != IN);
        *(c->incoming ? &met.incoming : &met.outgoing) += 1;
    }
}

static inline void step_data(struct connection *c)
{
    struct segment s = data_of(&c->tuple, (uint32_t)rng_next(&m.r), (uint32_t)rng_next(&m.r), rng_below(&m.r, 2000));
    if (c->flow) {
        assert_int_equal(sends(c, s), VERDICT_REWRITE);
        expect(s, &c->seen, c->way != IN);
    } else {
        assert_int_equal(sends(c, s), VERDICT_PASS);
    }
}

static inline void step_reply(struct connection *c)
{
    if (!c->flow) {
        return;
    }
    struct tuple from = proxys_end(c), back = tuple_reversed(&c->tuple);
    struct segment s = data_of(&from, (uint32_t)rng_next(&m.r), (uint32_t)rng_next(&m.r), rng_below(&m.r, 2000));
    m.f->loopback = c->way == WITHIN;
    assert_int_equal(send_segment(m.f, s), VERDICT_REWRITE);
    expect(s, &back, c->way != OUT);
    if (!c->answered) {
        c->answered = c->has_row = true;
        world_row_add(&m.f->world.connected, &from, AGENT);
    }
}

/* A scan of the TCP table may be due meanwhile, and the end of what nobody has answered. */
static inline void time_passes(uint64_t ms)
{
    uint32_t asked = m.f->world.connected.asked;
    pass_time(m.f, ms);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &m.all[i];
        if (c->flow && !c->answered && m.f->world.now - c->begun_ms >= FLOW_OPENING_MS) {
            over(c);
        }
        if (m.f->world.connected.asked == asked) {
            continue;
        }
        c->missed = c->flow && c->answered && !c->has_row ? c->missed + 1 : 0;
        if (c->missed == LOST_AFTER) {
            met.lost++;
            over(c);
        }
    }
}

static inline void step_reset(struct connection *c)
{
    if (c->flow) {
        assert_int_equal(sends(c, rst_of(&c->tuple, 1, 2)), VERDICT_REWRITE);
        time_passes(FLOW_LINGER_RST_MS);
        over(c);
    }
}

/* Its last socket is gone, and nobody says so. */
static inline void step_vanish(struct connection *c)
{
    if (c->flow && c->has_row) {
        struct tuple row = proxys_end(c);
        world_row_remove(&m.f->world.connected, &row);
        c->has_row = false;
    }
}

static inline void step_server(void)
{
    uint32_t i = rng_below(&m.r, SERVERS);
    struct port *p = &m.servers[i];
    if (m.server_open[i]) {
        closes(m.f, p->pid, p->address, p->port);
    } else {
        p->pid = pids[rng_below(&m.r, 4)];
        opens(m.f, p->pid, p->address, p->port);
    }
    m.server_open[i] = !m.server_open[i];
}

static inline void step_proxy(void)
{
    uint32_t i = rng_below(&m.r, PROXIES);
    struct port *p = &m.proxies[i];
    (m.proxy_open[i] ? closes : opens)(m.f, p->pid, p->address, p->port);
    m.proxy_open[i] = !m.proxy_open[i];
}

static inline void step_rules(void)
{
    m.rules = rng_below(&m.r, RULES_KINDS);
    struct rules *rules = m.rules ? rules_new() : NULL;
    if (m.rules == RULES_EXCLUDE_CHILD) {
        rules_add(rules, &(struct rule){.action = RULE_PASS, .pid = CHILD});
    } else if (m.rules == RULES_INCLUDE_STRANGER) {
        rules_add(rules, &(struct rule){.action = RULE_REDIRECT, .pid = STRANGER});
    } else if (m.rules) {
        for (uint32_t i = 0; i < 4; i++) {
            rules_add(rules, &(struct rule){.action = RULE_PASS, .pid = pids[i]});
        }
    }
    engine_set_rules(m.f->world.engine, rules);
    for (int i = 0; i < CONNECTIONS; i++) {
        met.outlived += m.all[i].flow && !is_ours(m.all[i].pid);
    }
}

/* Time up to one scan. Flows without an answer end before that, by their own time-out. */
static inline void step_scan(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        if (m.all[i].flow && !m.all[i].answered) {
            step_reply(&m.all[i]);
        }
    }
    time_passes(SCAN_MS);
}

static inline void check_always(void)
{
    uint32_t flows = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        const struct connection *c = &m.all[i];
        if (c->flow) {
            flows++;
            assert_false(port_in_use(source_port(&c->seen), c)); /* O3 */
            assert_true(is_mapped(c));
        }
    }
    assert_int_equal(COUNTER(m.f, flows_live), flows);
    assert_int_equal(m.f->world.flows_begun - m.f->world.flows_ended, flows);
    assert_int_equal(COUNTER(m.f, packets_held), 0);
}

static inline void random_step(void)
{
    static void (*const of_connections[])(struct connection *) = {
        step_connect, step_connect, step_connect, step_data, step_data, step_reply, step_reply, step_reset, step_vanish,
    };
    static void (*const of_the_machine[])(void) = {step_server, step_server, step_proxy, step_rules, step_scan};
    enum { A = sizeof of_connections / sizeof *of_connections, B = sizeof of_the_machine / sizeof *of_the_machine };
    uint32_t which = rng_below(&m.r, A + B);
    if (which < A) {
        of_connections[which](&m.all[rng_below(&m.r, CONNECTIONS)]);
    } else {
        of_the_machine[which - A]();
    }
    check_always();
}

/* Everything vanishes. Then nothing may be left. */
static inline void end(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        step_vanish(&m.all[i]);
    }
    for (int i = 0; i <= LOST_AFTER; i++) {
        step_scan();
        for (int k = 0; k < CONNECTIONS; k++) {
            step_vanish(&m.all[k]);
        }
    }
    check_always();
    assert_int_equal(m.f->world.engine->flows.live, 0);
    uint32_t owned = 0;
    for (uint32_t port = 0; port < 65536; port++) {
        owned += m.f->world.engine->flows.port_owner[port] != 0;
    }
    assert_int_equal(owned, 0);
    for (int i = 0; i < CONNECTIONS; i++) { /* all ports that ever were taken: their own, */
        assert_true(maps_nothing(m.f, source_port(&m.all[i].tuple)));
    }
    for (uint32_t port = 1024; port < 1024 + STEPS; port++) { /* and the substitutes */
        assert_true(maps_nothing(m.f, (uint16_t)port));
    }
    fixture_free(m.f);
    m.f = NULL;
}

#include "sequence_run.h"

#endif
