/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "world.h"

#include "engine/state.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void misused(const char *why)
{
    fprintf(stderr, "world: %s\n", why);
    abort();
}

/* The place of a process; NULL: it is not alive. */
static struct process_facts *place_of(struct world *w, uint32_t pid)
{
    for (int i = 0; pid && i < WORLD_PROCESSES_MAX; i++) {
        if (w->processes[i].self.pid == pid) {
            return &w->processes[i];
        }
    }
    return NULL;
}

/* ---- what the engine asks ---- */

static bool host_process_facts(void *context, uint32_t pid, struct process_facts *out)
{
    const struct process_facts *p = place_of(context, pid);
    if (p) {
        *out = *p;
    }
    return p != NULL;
}

static void host_process_path(void *context, uint32_t pid, char *out, uint32_t size)
{
    struct world *w = context;
    const struct process_facts *p = place_of(w, pid);
    if (w->hooks.path_of) {
        w->hooks.path_of(w, pid, out, size);
    } else {
        const char *path = p && w->paths[p - w->processes] ? w->paths[p - w->processes] : "";
        snprintf(out, size, "%s", path);
    }
}

static void host_inject(void *context, const struct packet_meta *meta, const uint8_t *data, uint32_t length)
{
    struct world *w = context;
    if (w->hooks.injected) {
        w->hooks.injected(w, meta, data, length);
    }
}

static void host_read_table(void *context, const struct table_wanted *wanted)
{
    struct world *w = context;
    if (w->reading.under_way) {
        misused("a second reading of the TCP table");
    }
    w->reading.under_way = true;
    w->reading.sockets = wanted->sockets;
    w->reading.count = wanted->count;
    w->listening.asked++;
    w->connected.asked += wanted->sockets;
    w->table_looks += wanted->count != 0;
    w->reading.listening = w->listening;
    w->reading.connected = w->connected;
    for (uint32_t i = 0; i < wanted->count; i++) {
        w->owner_asked++;
        w->owner_tuple = w->reading.owners_of[i] = wanted->owners_of[i];
        w->reading.owners[i] = w->hooks.owner_of ? w->hooks.owner_of(w, &wanted->owners_of[i]) : w->owner;
    }
}

/* A socket on "::" with none beside it on "0.0.0.0" is dual-stack, and Windows lists it in both tables. */
static void hand_in_twins(struct world *w)
{
    const struct world_table *t = &w->reading.listening;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tuple *row = &t->rows[i].tuple;
        struct tuple twin = {.src_port = row->src_port, .family = FAMILY_IP4};
        twin.src = twin.dst = ip_addr_from_ip4((const uint8_t[4]){0});
        bool alone = row->family == FAMILY_IP6 && ip_addr_is_any(&row->src, row->family);
        for (uint32_t k = 0; alone && k < t->count; k++) {
            const struct tuple *other = &t->rows[k].tuple;
            alone = other->family != FAMILY_IP4 || other->src_port.wire != twin.src_port.wire ||
                    !ip_addr_equal(&other->src, &twin.src);
        }
        if (alone) {
            engine_listener(w->engine, &twin, t->rows[i].pid);
        }
    }
}

static uint32_t rows_to_hand_in(const struct world_table *t)
{
    return t->fails ? t->count / 2 : t->count;
}

static void hand_in_listeners(struct world *w)
{
    const struct world_table *t = &w->reading.listening;
    hand_in_twins(w);
    for (uint32_t i = 0; i < rows_to_hand_in(t); i++) {
        engine_listener(w->engine, &t->rows[i].tuple, t->rows[i].pid);
    }
}

static void hand_in_sockets(struct world *w)
{
    const struct world_table *t = &w->reading.connected;
    for (uint32_t i = 0; i < rows_to_hand_in(t); i++) {
        engine_socket(w->engine, &t->rows[i].tuple);
    }
    if (w->hooks.sockets_scanned) {
        w->hooks.sockets_scanned(w, !t->fails && !w->reading.listening.fails);
    }
}

bool world_table_answers(struct world *w)
{
    if (!w->reading.under_way) {
        return false;
    }
    bool whole = !w->reading.listening.fails && !(w->reading.sockets && w->reading.connected.fails);
    if (!w->without_lists) {
        hand_in_listeners(w);
        if (w->reading.sockets) {
            hand_in_sockets(w);
        }
    }
    w->reading.under_way = false;
    engine_table_end(w->engine, w->reading.owners, whole, w->now);
    return true;
}

static void host_read_udp_table(void *context)
{
    struct world *w = context;
    if (w->udp_under_way) {
        misused("a second reading of the UDP table");
    }
    w->udp_under_way = true;
    w->udp.asked++;
    w->udp_read = w->udp;
}

bool world_udp_table_answers(struct world *w)
{
    const struct world_table *t = &w->udp_read;
    if (!w->udp_under_way) {
        return false;
    }
    for (uint32_t i = 0; i < rows_to_hand_in(t); i++) {
        engine_udp_socket(w->engine, &t->rows[i].tuple, t->rows[i].pid);
    }
    w->udp_under_way = false;
    engine_udp_table_end(w->engine, !t->fails, w->now);
    return true;
}

void world_settle(struct world *w)
{
    bool again;
    do {
        engine_read_table(w->engine, w->now);
        again = !w->slow && world_table_answers(w);
        again = (!w->slow && world_udp_table_answers(w)) || again;
    } while (again);
}

void world_scan_listeners(struct world *w)
{
    engine_want_listeners(w->engine);
    world_settle(w);
}

static void host_flow_event(void *context, const struct flow *flow, const struct tuple *original, bool ended)
{
    struct world *w = context;
    *(ended ? &w->flows_ended : &w->flows_begun) += 1;
    if (w->hooks.flow_event) {
        w->hooks.flow_event(w, flow, original, ended);
    }
}

static void host_proxy_not_listening(void *context, uint8_t protocol, const struct tuple *steered)
{
    (void)protocol;
    struct world *w = context;
    w->warned++;
    w->warned_of = *steered;
}

static void host_filter_too_late(void *context, const struct tuple *original)
{
    struct world *w = context;
    w->filters_late++;
    w->filter_late_for = *original;
}

static void host_proxy_spared(void *context, uint8_t protocol, uint32_t pid, const struct tuple *proxy)
{
    (void)protocol;
    struct world *w = context;
    w->spared_pid = pid;
    w->spared_at = *proxy;
}

static void host_segments_lost(void *context)
{
    struct world *w = context;
    w->segments_lost++;
}

static void host_led_by_other(void *context, const struct tuple *original, uint32_t pid)
{
    struct world *w = context;
    w->led++;
    w->led_pid = pid;
    w->led_of = *original;
}

static void host_no_listener(void *context)
{
    struct world *w = context;
    w->no_listener++;
}

static void host_bypassed(void *context, enum bypass way, uint64_t connections)
{
    struct world *w = context;
    w->bypassed[way]++;
    w->bypassed_connections[way] += connections;
}

struct engine_host world_host(struct world *w, enum world_kind kind)
{
    return (struct engine_host){
        .context = w,
        .process_facts = host_process_facts,
        .process_path = host_process_path,
        .read_table = host_read_table,
        .read_udp_table = kind == WORLD_WITHOUT_TABLES ? NULL : host_read_udp_table,
        .owners_only = kind == WORLD_WITHOUT_TABLES,
        .inject = host_inject,
        .flow_event = host_flow_event,
        .proxy_not_listening = host_proxy_not_listening,
        .filter_too_late = host_filter_too_late,
        .proxy_spared = host_proxy_spared,
        .led_by_other = host_led_by_other,
        .no_listener = host_no_listener,
        .bypassed = host_bypassed,
        .segments_lost = host_segments_lost,
    };
}

/* ---- life ---- */

void world_has_address(struct world *w, const ip_addr *address, uint32_t family, uint32_t if_index)
{
    if (w->own_count == WORLD_ADDRESSES_MAX) {
        misused("too many addresses");
    }
    w->own[w->own_count++] = (struct own_address){*address, family, if_index, 0};
    struct own_addresses *all = own_addresses_new(w->own, w->own_count);
    if (!all) {
        misused("no memory");
    }
    engine_set_own_addresses(w->engine, all);
}

bool world_open(struct world *w, const struct engine_config *config, enum world_kind kind)
{
    struct engine_host host = world_host(w, kind);
    w->now = 1000000;
    w->without_lists = kind == WORLD_WITHOUT_TABLES;
    w->engine = engine_new(config, &host);
    return w->engine != NULL;
}

void world_close(struct world *w)
{
    engine_free(w->engine);
    w->engine = NULL;
}

void world_capture_all(struct engine *e)
{
    port_set_fill(&e->capture.active.outbound);
    port_set_fill(&e->capture.active.inbound);
    e->capture.in_place = true;
}

const struct capture_set *world_replace_filter(struct world *w, bool ok)
{
    const struct capture_set *set = engine_capture_wanted(w->engine, w->now);
    if (set) {
        engine_capture_replaced(w->engine, ok, w->now);
    }
    return set;
}

/* ---- processes and sockets ---- */

void world_process_starts(struct world *w, uint32_t pid, uint64_t created, uint32_t parent, uint64_t parent_created)
{
    for (int i = 0; i < WORLD_PROCESSES_MAX; i++) {
        if (w->processes[i].self.pid == 0) {
            w->processes[i] = (struct process_facts){.self = {pid, created}, .parent = {parent, parent_created}};
            w->paths[i] = NULL;
            return;
        }
    }
    misused("too many processes");
}

void world_process_ends(struct world *w, uint32_t pid)
{
    for (int i = 0; i < WORLD_PROCESSES_MAX; i++) {
        if (w->processes[i].self.pid == pid) {
            w->processes[i] = (struct process_facts){.self = {0, 0}};
        } else if (w->processes[i].parent.pid == pid) {
            w->processes[i].parent.created = 0;
        }
    }
}

void world_process_path(struct world *w, uint32_t pid, const char *path)
{
    const struct process_facts *p = place_of(w, pid);
    if (!p) {
        misused("no such process");
    }
    w->paths[p - w->processes] = path;
}

void world_row_add(struct world_table *t, const struct tuple *tuple, uint32_t pid)
{
    if (t->count == WORLD_ROWS_MAX) {
        misused("too many sockets");
    }
    t->rows[t->count].tuple = *tuple;
    t->rows[t->count++].pid = pid;
}

void world_row_remove(struct world_table *t, const struct tuple *tuple)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (tuple_equal(&t->rows[i].tuple, tuple)) {
            t->rows[i] = t->rows[--t->count];
            return;
        }
    }
    misused("no such socket");
}
