/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the engine does with one packet of each kind, many times over.
 *
 *   bench_engine count       under callgrind: a dump per case, of the instructions within
 *                          engine_packet() and engine_event() alone
 *   bench_engine time        nanoseconds per packet of the same cases, a line each: "CASE NANOSECONDS"
 *   bench_engine memory      what 65 000 flows keep resident, and what 100 000 connections in turn leave behind
 *
 * A case's name: WHAT.ip4.FLOWS.PAYLOAD.valid (or .offloaded). Packets go to flows in turn, in a scattered order, so
 * that a long chain in a hash table is met as often as it would be.
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { ROUNDS = 500, TIME_ROUNDS = 20000, STRIDE = 7919, SYN_ROUNDS = 200 };
static_assert((int)SYN_ROUNDS < (int)FIRST_PORT, "ports are left for new connections");

enum what { PASS, PASS_OTHER, FORWARD, REPLY };
static const char *const names[] = {"pass", "pass_other", "forward", "reply"};

static const struct shape {
    enum what what;
    uint32_t payload;
    bool offloaded;
} shapes[] = {
    {PASS, 0, false},          {PASS, 1460, false},    {PASS, 60000, false},   {PASS, 1460, true},
    {PASS_OTHER, 1460, false}, {FORWARD, 0, false},    {FORWARD, 1460, false}, {FORWARD, 60000, false},
    {FORWARD, 1460, true},     {FORWARD, 60000, true}, {REPLY, 0, false},      {REPLY, 1460, false},
    {REPLY, 60000, false},     {REPLY, 1460, true},    {REPLY, 60000, true},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const uint32_t live[] = {1, 1000, FLOWS_MAX};

static double elapsed_ns(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - since->tv_sec) * 1e9 + (double)(now.tv_nsec - since->tv_nsec);
}

/*
 * A stranger's packet has a source port that a flow has too, and another address: the filter diverts by port, so that
 * is what strangers' packets look like. PASS_OTHER: none of its ports is a flow's.
 */
static struct tuple tuple_for(const struct traffic *t, enum what what, uint32_t i)
{
    struct tuple tuple = what == REPLY ? traffic_reply(t, i) : traffic_forward(t, i);
    if (what == PASS || what == PASS_OTHER) {
        tuple.src.bytes[15] ^= 0x55;
    }
    if (what == PASS_OTHER) {
        tuple.src_port = be16_from_host(FIRST_PORT - 1);
    }
    return tuple;
}

static void one_packet(struct traffic *t, const struct shape *s, uint32_t round)
{
    struct tuple tuple = tuple_for(t, s->what, round * STRIDE % t->flows);
    traffic_make(t, &tuple, TCP_ACK, s->payload, s->offloaded);
    enum verdict verdict = engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
    if (verdict != (s->what < FORWARD ? VERDICT_PASS : VERDICT_REWRITE)) {
        fprintf(stderr, "bench_engine: verdict %d of a %s\n", verdict, names[s->what]);
        exit(1);
    }
}

static const char *case_name(const struct traffic *t, const struct shape *s)
{
    static char name[64];
    snprintf(name, sizeof name, "%s.ip%u.%u.%u.%s", names[s->what], t->family, t->flows, s->payload,
             s->offloaded ? "offloaded" : "valid");
    return name;
}

static void count_shape(struct traffic *t, const struct shape *s)
{
    CALLGRIND_ZERO_STATS;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        one_packet(t, s, i);
    }
    CALLGRIND_DUMP_STATS_AT(case_name(t, s));
}

/* The packet is made once for many calls; a rewritten one is put back, which costs two nanoseconds and is left in. */
static void time_shape(struct traffic *t, const struct shape *s)
{
    enum { HEADERS = 60, FLIGHT = 256 };
    static uint8_t kept[FLIGHT][HEADERS];
    static struct packet_meta metas[FLIGHT];
    for (uint32_t i = 0; i < FLIGHT; i++) {
        struct tuple tuple = tuple_for(t, s->what, i * STRIDE % t->flows);
        traffic_make(t, &tuple, TCP_ACK, s->payload, s->offloaded);
        memcpy(kept[i], t->packet, HEADERS);
        metas[i] = t->meta;
    }
    double best = 1e18;
    for (int run = 0; run < 5; run++) {
        struct timespec began;
        clock_gettime(CLOCK_MONOTONIC, &began);
        for (uint32_t i = 0; i < TIME_ROUNDS; i++) {
            memcpy(t->packet, kept[i % FLIGHT], HEADERS);
            t->meta = metas[i % FLIGHT];
            engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
        }
        double ns = elapsed_ns(&began) / TIME_ROUNDS;
        best = ns < best ? ns : best;
    }
    printf("%s %.1f\n", case_name(t, s), best);
}

/* A new connection of the tree, or a stranger's: its event and its SYN, as they come. */
static void count_syn(struct traffic *t, uint32_t pid, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.ip%u.%u.0.valid", what, t->family, t->flows);
    for (uint32_t i = 0; i < SYN_ROUNDS; i++) {
        struct tuple tuple = traffic_forward(t, i);
        tuple.src_port = be16_from_host((uint16_t)(1 + i)); /* below FIRST_PORT: no flow has it */
        struct socket_event event = traffic_connect(t, i, pid);
        event.tuple = tuple;
        engine_event(t->world.engine, &event, t->world.now);
        traffic_make(t, &tuple, TCP_SYN, 0, false);
        enum verdict verdict = engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
        if (verdict != (pid == ROOT ? VERDICT_REWRITE : VERDICT_PASS)) {
            fprintf(stderr, "bench_engine: verdict %d of a SYN of process %u\n", verdict, pid);
            exit(1);
        }
    }
    CALLGRIND_DUMP_STATS_AT(name);
}

/* One flow of UDP, there and back: whatever the payload, and whoever computes the sums. */
static void count_udp(struct traffic *t, uint32_t payload, bool offloaded)
{
    struct tuple there = traffic_forward(t, 0), back = tuple_reversed(&there);
    struct socket_event event = traffic_connect(t, 0, ROOT);
    event.protocol = PROTOCOL_UDP;
    engine_event(t->world.engine, &event, t->world.now);
    back.src = back.dst = ip_addr_loopback(t->family);
    back.src_port = be16_from_host(UDP_PORT);
    for (int leg = 0; leg < 2; leg++) {
        char name[64];
        snprintf(name, sizeof name, "udp_%s.ip%u.1.%u.%s", leg ? "reply" : "forward", t->family, payload,
                 offloaded ? "offloaded" : "valid");
        for (uint32_t i = 0; i <= ROUNDS; i++) {
            traffic_make_udp(t, leg ? &back : &there, payload, offloaded);
            if (engine_datagram(t->world.engine, &t->meta, t->packet, t->length, t->world.now) != VERDICT_REWRITE) {
                fprintf(stderr, "bench_engine: a datagram was not redirected\n");
                exit(1);
            }
            if (i == 0) {
                CALLGRIND_ZERO_STATS; /* the first one opens the flow, or is its first answer */
            }
        }
        CALLGRIND_DUMP_STATS_AT(name);
    }
}

static void count_all(uint32_t family)
{
    static struct traffic t;
    for (size_t i = 0; i < sizeof live / sizeof live[0]; i++) {
        traffic_open(&t, family);
        if (i == 0) {
            count_udp(&t, 0, false);
            count_udp(&t, 1200, false);
            count_udp(&t, PAYLOAD_MAX, false);
            count_udp(&t, 1200, true);
        }
        traffic_grow(&t, live[i]);
        for (int k = 0; k < SHAPES; k++) {
            count_shape(&t, &shapes[k]);
        }
        CALLGRIND_ZERO_STATS;
        count_syn(&t, STRANGER, "syn_stranger");
        CALLGRIND_ZERO_STATS;
        count_syn(&t, ROOT, "syn_tree");
        traffic_close(&t);
    }
}

static void time_all(void)
{
    static struct traffic t;
    for (size_t i = 0; i < sizeof live / sizeof live[0]; i++) {
        traffic_open(&t, FAMILY_IP4);
        traffic_grow(&t, live[i]);
        for (int k = 0; k < SHAPES; k++) {
            time_shape(&t, &shapes[k]);
        }
        traffic_close(&t);
    }
}

/* 256 rules of all kinds, of which the first alone matches that connection. */
static struct rules *make_rules(void)
{
    struct rules *rules = rules_new();
    char program[32], host[32];
    for (uint32_t i = 0; rules && i < RULES_MAX; i++) {
        snprintf(program, sizeof program, "C:\\tools\\%u*.exe", i);
        snprintf(host, sizeof host, "*.%u.example.org", i);
        struct rule rule = {.action = RULE_BLOCK, .protocol = i % 5 ? PROTOCOL_TCP : 0};
        rule.program = i % 4 == 1 ? program : NULL;
        rule.host = i % 4 == 2 ? host : NULL;
        rule.first_port = rule.last_port = i % 4 == 3 ? (uint16_t)(1000 + i) : 0;
        rule.family = i % 4 ? FAMILY_NONE : FAMILY_IP4;
        rule.network = ip_addr_from_ip4((const uint8_t[4]){172, 16, (uint8_t)i, 1});
        rule.prefix_length = i % 4 ? 0 : 24;
        rule.action = i ? RULE_BLOCK : RULE_PASS;
        rule.network = i ? rule.network : ip_addr_from_ip4((const uint8_t[4]){192, 0, 2, 1});
        if (rules_add(rules, &rule)) {
            fprintf(stderr, "bench_engine: rule %u is not taken\n", i);
            exit(1);
        }
    }
    return rules;
}

/* What rules add to a new connection, of a process and to a host that were seen before; so many times. */
__attribute__((noinline)) static void judge_by_rules(const struct rules *rules, uint32_t rounds)
{
    const struct rule_case c = {.in_tree = true,
                                .pid = ROOT,
                                .path = "C:\\Program Files\\Some Product\\bin\\program.exe",
                                .protocol = PROTOCOL_TCP,
                                .direction = RULE_OUTGOING,
                                .family = FAMILY_IP4,
                                .address = ip_addr_from_ip4((const uint8_t[4]){192, 0, 2, 7}),
                                .port = 443,
                                .listener = "",
                                .host = "www.example.com"};
    for (uint32_t i = 0; i < rounds; i++) {
        if (rules_judge(rules, &c).rule != 0) {
            fprintf(stderr, "bench_engine: another rule has decided\n");
            exit(1);
        }
    }
}

static void count_rules(void)
{
    struct rules *rules = make_rules();
    judge_by_rules(rules, 1); /* what is compiled at the first question */
    CALLGRIND_ZERO_STATS;
    judge_by_rules(rules, ROUNDS);
    CALLGRIND_DUMP_STATS_AT("rules_256");
    rules_free(rules);
}

static void time_rules(void)
{
    struct rules *rules = make_rules();
    double best = 1e18;
    for (int run = 0; run < 5; run++) {
        struct timespec began;
        clock_gettime(CLOCK_MONOTONIC, &began);
        judge_by_rules(rules, TIME_ROUNDS);
        double ns = elapsed_ns(&began) / TIME_ROUNDS;
        best = ns < best ? ns : best;
    }
    rules_free(rules);
    printf("rules_256 %.1f\n", best);
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%*d %ld", &pages) != 1) {
        fprintf(stderr, "bench_engine: /proc/self/statm cannot be read\n");
        exit(1);
    }
    fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Connection i from SYN to its end, and past the time that it lingers. */
static void live_and_die(struct traffic *t, uint32_t i)
{
    struct tuple forward, reply;
    t->flows = i;
    traffic_grow(t, i + 1);
    forward = traffic_forward(t, i);
    reply = traffic_reply(t, i);
    traffic_make(t, &forward, TCP_FIN | TCP_ACK, 0, false);
    engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
    traffic_make(t, &reply, TCP_FIN | TCP_ACK, 0, false);
    engine_packet(t->world.engine, &t->meta, t->packet, t->length, t->world.now);
    t->world.now += 100; /* ten a second, so that a hundred linger at any time */
    engine_tick(t->world.engine, t->world.now);
}

static void measure_memory(void)
{
    /* From FEW on, what does not grow with the flows has its size: verdicts of SYNs are kept, at most 8192 of them. */
    enum { FEW = 10000, WARM_UP = FLOWS_MAX, CONNECTIONS = 100000 };
    static struct traffic t;
    traffic_open(&t, FAMILY_IP4);
    traffic_grow(&t, FEW);
    long before = resident_bytes();
    traffic_grow(&t, FLOWS_MAX);
    long full = resident_bytes();
    traffic_close(&t);
    printf("flow_bytes %.1f\n", (double)(full - before) / (FLOWS_MAX - FEW));

    traffic_open(&t, FAMILY_IP4);
    for (uint32_t i = 0; i < WARM_UP; i++) {
        live_and_die(&t, i % FLOWS_MAX);
    }
    before = resident_bytes();
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        live_and_die(&t, (WARM_UP + i) % FLOWS_MAX);
    }
    printf("growth_bytes %ld\n", resident_bytes() - before);
    printf("sequential_connections %d\n", CONNECTIONS);
    traffic_close(&t);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "count") == 0) {
        count_all(FAMILY_IP4);
        if (argc > 2) {
            count_all(FAMILY_IP6);
        }
        count_rules();
    } else if (strcmp(what, "time") == 0) {
        time_all();
        time_rules();
    } else if (strcmp(what, "memory") == 0) {
        measure_memory();
    } else {
        fprintf(stderr, "usage: bench_engine count [both] | time | memory\n");
        return 2;
    }
    return 0;
}
