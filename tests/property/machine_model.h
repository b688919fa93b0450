/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file machine_model.h
 * The model that machine_sequences.h compares the engine with: who listens on the machine, which rules hold, and
 * what that makes of a new connection. It knows the rules of the product and the engine's interface, none of its inner
 * workings.
 */
#ifndef TESTS_MACHINE_MODEL_H
#define TESTS_MACHINE_MODEL_H

#include "machine.h"

enum { SEQUENCES = 1000, STEPS = 300, FLOWS_MAX = 64, LOST_AFTER = 2 };
enum { OTHER = 2004, SERVERS = 5, PROXIES = 4, CONNECTIONS = 16 };

enum way { IN, WITHIN, OUT };

struct connection {
    struct tuple tuple, seen;
    enum way way;
    bool flow, incoming, passing, answered, has_row;
    uint32_t pid, isn, missed;
    uint64_t begun_ms;
};

struct port {
    const char *address;
    uint16_t port;
    uint32_t pid; /* who opens it; 0: nobody */
};

static struct {
    struct fixture *f;
    struct rng r;
    uint64_t seed;
    uint32_t step, next_isn, rules;
    struct port servers[SERVERS], proxies[PROXIES];
    bool server_open[SERVERS], proxy_open[PROXIES];
    struct connection all[CONNECTIONS];
} m;

/* How often the interesting things happened: a test that meets none of them proves nothing. */
static struct {
    uint32_t incoming, outgoing, both, no_proxy, ruled, substituted, lost, outlived, to_itself;
} met;

static const struct port servers[SERVERS] = {
    {"0.0.0.0", 80, 0}, {"10.0.0.1", 81, 0}, {"2001:db8::1", 80, 0}, {"127.0.0.1", 82, 0}, {"10.0.0.2", 80, 0},
};
static const struct port proxies[PROXIES] = {
    {"127.0.0.1", PROXY_PORT, AGENT},
    {"::1", PROXY_PORT, AGENT},
    {"0.0.0.0", INCOMING_PORT, AGENT},
    {"2001:db8::1", INCOMING_PORT, AGENT},
};
static const struct {
    enum way way;
    const char *src, *dst;
    uint16_t port;
} ends[CONNECTIONS / 2] = {
    {IN, "203.0.113.9", "10.0.0.1", 80},      {IN, "198.51.100.7", "10.0.0.1", 81},
    {IN, "2001:db8:5::9", "2001:db8::1", 80}, {IN, "203.0.113.9", "10.0.0.2", 80},
    {WITHIN, "127.0.0.1", "127.0.0.1", 82},   {WITHIN, "10.0.0.1", "10.0.0.1", 81},
    {OUT, "10.0.0.1", "203.0.113.9", 80},     {OUT, "2001:db8::1", "2001:db8:5::9", 443},
};
static const uint32_t pids[] = {ROOT, CHILD, STRANGER, OTHER, AGENT};

enum { RULES_NONE, RULES_EXCLUDE_CHILD, RULES_INCLUDE_STRANGER, RULES_EXCLUDE_ALL, RULES_KINDS };

static inline bool is_ours(uint32_t pid)
{
    bool member = pid == ROOT || pid == CHILD;
    if (pid == AGENT) {
        return false;
    }
    switch (m.rules) {
    case RULES_EXCLUDE_CHILD:
        return member && pid != CHILD;
    case RULES_INCLUDE_STRANGER:
        return member || pid == STRANGER;
    case RULES_EXCLUDE_ALL:
        return false;
    default:
        return member;
    }
}

static inline bool listens_for(const struct port *p, const ip_addr *address, uint32_t family, uint16_t port,
                               bool exactly)
{
    uint32_t its_family;
    ip_addr its = address_of(p->address, &its_family);
    bool any = !strcmp(p->address, "0.0.0.0") || !strcmp(p->address, "::");
    bool fits = any ? !exactly && (family == its_family || its_family == FAMILY_IP6)
                    : exactly && family == its_family && !memcmp(&its, address, sizeof its);
    return fits && p->port == port;
}

/* Who gets a connection to there: a socket on that very address, else one on all; 0: nobody. */
static inline uint32_t server_of(const struct tuple *t)
{
    for (int exactly = 1; exactly >= 0; exactly--) {
        uint32_t dual_stack = 0;
        for (int i = 0; i < SERVERS; i++) {
            if (m.server_open[i] &&
                listens_for(&m.servers[i], &t->dst, t->family, be16_to_host(t->dst_port), exactly)) {
                if (!strcmp(m.servers[i].address, "::") && t->family == FAMILY_IP4) {
                    dual_stack = m.servers[i].pid;
                } else {
                    return m.servers[i].pid;
                }
            }
        }
        if (dual_stack) {
            return dual_stack;
        }
    }
    return 0;
}

static inline bool proxy_at(const ip_addr *address, uint32_t family, uint16_t port)
{
    for (int i = 0; i < PROXIES; i++) {
        if (m.proxy_open[i] && (listens_for(&m.proxies[i], address, family, port, true) ||
                                listens_for(&m.proxies[i], address, family, port, false))) {
            return true;
        }
    }
    return false;
}

/* What the SYN is to become now. true: a flow; *incoming and *pid say which. */
static inline bool is_led(const struct connection *c, uint32_t opener, bool *incoming, uint32_t *pid)
{
    uint32_t server = c->way == OUT ? 0 : server_of(&c->tuple);
    ip_addr loopback = ip_addr_loopback(c->tuple.family);
    bool proxy;
    if (c->way == WITHIN && server == opener) {
        met.to_itself += is_ours(opener);
        return false; /* O8 */
    }
    *incoming = server && is_ours(server) && (c->way == IN || opener != AGENT);
    *pid = *incoming ? server : opener;
    if (*incoming) {
        proxy = proxy_at(&c->tuple.dst, c->tuple.family, INCOMING_PORT);
    } else if (c->way != IN && is_ours(opener)) {
        proxy = proxy_at(&loopback, c->tuple.family, PROXY_PORT);
    } else {
        return false;
    }
    met.no_proxy += !proxy;
    met.both += proxy && *incoming && c->way == WITHIN && is_ours(opener);
    return proxy;
}

static inline bool port_in_use(uint16_t port, const struct connection *but)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        if (&m.all[i] != but && m.all[i].flow && source_port(&m.all[i].seen) == port) {
            return true;
        }
    }
    return false;
}

static inline bool is_mapped(const struct connection *c)
{
    uint16_t port = source_port(&c->seen);
    return c->incoming ? maps_incoming(m.f, port, &c->tuple, c->pid) : maps(m.f, port, &c->tuple, c->pid);
}

#endif
