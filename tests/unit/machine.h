/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file machine.h
 * The fixture's engine on a machine that has a TCP table: sockets that listen and sockets that are connected, image
 * paths, a network behind it. What opens or closes here does it with an event, without one, or with an event alone.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include "engine_fixture.h"

enum { SCAN_MS = 30000 };

static inline struct tuple local_end(const char *address, uint16_t port)
{
    struct tuple t;
    memset(&t, 0, sizeof t);
    t.src = address_of(address, &t.family);
    t.dst = address_of(t.family == FAMILY_IP4 ? "0.0.0.0" : "::", &t.family);
    t.src_port = be16_from_host(port);
    return t;
}

static inline void has_path(struct fixture *f, uint32_t pid, const char *path)
{
    world_process_path(&f->world, pid, path);
}

/** A socket listens, and the event of it is lost. */
static inline void listens_unheard(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    struct tuple local = local_end(address, port);
    world_row_add(&f->world.listening, &local, pid);
}

static inline void closes_unheard(struct fixture *f, const char *address, uint16_t port)
{
    struct tuple local = local_end(address, port);
    world_row_remove(&f->world.listening, &local);
}

static inline void listen_event(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    struct tuple local = local_end(address, port);
    send_event(f, SOCKET_LISTEN, pid, &local);
}

static inline void close_event(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    struct tuple local = local_end(address, port);
    send_event(f, SOCKET_CLOSE, pid, &local);
}

static inline void opens(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    listens_unheard(f, pid, address, port);
    listen_event(f, pid, address, port);
}

static inline void closes(struct fixture *f, uint32_t pid, const char *address, uint16_t port)
{
    closes_unheard(f, address, port);
    close_event(f, pid, address, port);
}

static inline struct engine_config machine_config(void)
{
    struct engine_config config = fixture_config();
    config.incoming_port = INCOMING_PORT;
    config.scan_interval_ms = SCAN_MS;
    return config;
}

/** A machine on which nothing listens. */
static inline struct fixture *machine_without_filter(const struct engine_config *config)
{
    struct fixture *f = fixture_open(config, WORLD_WITH_TABLES);
    world_scan_listeners(&f->world);
    return f;
}

/** The same, and every packet is captured. */
static inline struct fixture *machine_bare_new(const struct engine_config *config)
{
    struct fixture *f = machine_without_filter(config);
    world_capture_all(engine_of(f));
    return f;
}

/** The proxy for outgoing connections listens on both loopback addresses, that for incoming ones on every address. */
static inline struct fixture *machine_with_proxies(struct fixture *f)
{
    listens_unheard(f, AGENT, "127.0.0.1", PROXY_PORT);
    listens_unheard(f, AGENT, "::1", PROXY_PORT);
    listens_unheard(f, AGENT, "0.0.0.0", INCOMING_PORT);
    listens_unheard(f, AGENT, "::", INCOMING_PORT);
    world_scan_listeners(&f->world);
    return f;
}

static inline struct fixture *machine_new(const struct engine_config *config)
{
    return machine_with_proxies(machine_bare_new(config));
}

static inline int machine_set_up(void **state)
{
    struct engine_config config = machine_config();
    *state = machine_new(&config);
    return 0;
}

#define WITH_MACHINE(test) cmocka_unit_test_setup_teardown(test, machine_set_up, fixture_tear_down)

/** Another configuration; nothing listens at all. */
static inline struct fixture *machine_renew_bare(void **state, const struct engine_config *config)
{
    fixture_free(*state);
    return *state = machine_bare_new(config);
}

static inline struct fixture *machine_renew(void **state, const struct engine_config *config)
{
    fixture_free(*state);
    return *state = machine_new(config);
}

/* ---- what comes in from the network: captured inbound, on interface 7.3 as everything ---- */

static inline enum verdict arrives(struct fixture *f, struct segment s)
{
    make(&f->last, &s);
    f->last.meta.outbound = false;
    return send_packet(f, &f->last);
}

static inline enum verdict syn_arrives(struct fixture *f, const struct tuple *t, uint32_t isn)
{
    return arrives(f, syn_of(t, isn));
}

/** As `maps`, for a connection to the tree. */
static inline bool maps_incoming(const struct fixture *f, uint16_t port, const struct tuple *original, uint32_t pid)
{
    struct destination d;
    return destinations_find(engine_destinations(f->world.engine), port, &d) && d.incoming && d.pid == pid &&
           d.family == original->family && ip_addr_equal(&d.address, &original->dst) &&
           d.port == be16_to_host(original->dst_port) && ip_addr_equal(&d.peer, &original->src);
}

/** The tuple with another destination port. */
static inline struct tuple at_port(const struct tuple *t, uint16_t port)
{
    struct tuple to = *t;
    to.dst_port = be16_from_host(port);
    return to;
}

/** A SYN from another machine is led to the incoming proxy. Returns what the proxy sees. */
static inline struct tuple taken_in(struct fixture *f, const struct tuple *t, uint32_t isn)
{
    assert_int_equal(syn_arrives(f, t, isn), VERDICT_REWRITE);
    struct tuple seen = tuple_in(&f->last), want = at_port(t, INCOMING_PORT);
    want.src_port = seen.src_port;
    assert_true(tuple_equal(&seen, &want));
    return seen;
}

/** A connection from another machine that was never there before. */
static inline struct tuple from_peer(struct fixture *f, const char *address, uint16_t port)
{
    uint32_t family;
    address_of(address, &family);
    return tuple_of(family == FAMILY_IP4 ? "203.0.113.9" : "2001:db8:5::9", fresh_port(f), address, port);
}

/** Whether such a connection is led to the incoming proxy, by a listener of `pid`. If not, it passes. */
static inline bool catches(struct fixture *f, const char *address, uint16_t port, uint32_t pid)
{
    struct tuple t = from_peer(f, address, port), want = at_port(&t, INCOMING_PORT);
    enum verdict verdict = syn_arrives(f, &t, 100);
    if (verdict == VERDICT_PASS) {
        assert_true(maps_nothing(f, source_port(&t)));
        return false;
    }
    assert_int_equal(verdict, VERDICT_REWRITE);
    assert_tuple(&f->last, &want);
    assert_true(maps_incoming(f, source_port(&t), &t, pid));
    return true;
}

static inline bool injected_is(const struct fixture *f, uint32_t n, struct segment s)
{
    struct made *m = make_new(&s);
    bool same = f->injected_count > n && f->injected[n]->length == m->length &&
                !memcmp(f->injected[n]->bytes, m->bytes, m->length);
    free(m);
    return same;
}

/* Has the filter replaced, at once, if another one is wanted. */
static inline const struct capture_set *replaced(struct fixture *f)
{
    const struct capture_set *set = world_replace_filter(&f->world, true);
    world_settle(&f->world); /* what has waited for the filter may wait for the TCP table now */
    return set;
}

static inline uint32_t ports_in(const struct port_set *s)
{
    uint32_t n = 0;
    for (uint32_t port = 0; port < 65536; port++) {
        n += port_set_has(s, (uint16_t)port);
    }
    return n;
}

#endif
