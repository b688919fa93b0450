/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file world.h
 * The one host that the engine has where there is no Windows: a machine made of test data, for tests/unit,
 * tests/property, fuzz and bench/engine. Its clock is set by hand, its processes and sockets are listed here, its
 * filter is whatever the engine wants it to be, and what the engine sends goes to a hook.
 *
 * It asserts nothing: what must hold is for those who use it, in their hooks.
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "engine/engine.h"
#include "engine/pending.h"

enum { WORLD_PROCESSES_MAX = 32, WORLD_ROWS_MAX = 64, WORLD_ADDRESSES_MAX = 16 };

/** Sockets as the TCP table lists them. A listener has no dst. */
struct world_table {
    struct {
        struct tuple tuple;
        uint32_t pid;
    } rows[WORLD_ROWS_MAX];
    uint32_t count, asked;
    bool fails; /* half of it is handed in, and then it cannot be had */
};

struct world;

/** What a test takes part in; each may be NULL. */
struct world_hooks {
    void (*injected)(struct world *w, const struct packet_meta *meta, const uint8_t *data, uint32_t length);
    void (*flow_event)(struct world *w, const struct flow *flow, const struct tuple *original, bool ended);
    uint32_t (*owner_of)(struct world *w, const struct tuple *tuple);         /* instead of `owner` */
    void (*path_of)(struct world *w, uint32_t pid, char *out, uint32_t size); /* instead of `paths` */
    void (*sockets_scanned)(struct world *w, bool whole); /* after the connected sockets were handed in */
};

struct world {
    struct engine *engine;
    struct world_hooks hooks;
    uint64_t now;  /* the engine's clock, ms */
    int64_t clock; /* the driver's: one tick per packet or event */

    struct process_facts processes[WORLD_PROCESSES_MAX]; /* that are alive; pid 0 is an empty place */
    const char *paths[WORLD_PROCESSES_MAX];              /* of their images; NULL: unknown */
    struct world_table listening, connected;
    struct own_address own[WORLD_ADDRESSES_MAX]; /* the machine's; none: the engine was not told any */
    uint32_t own_count;
    uint32_t owner;              /* of any connection, as the TCP table says it; 0: unknown */
    struct world_table udp;      /* the UDP sockets, */
    struct world_table udp_read; /* and those that there were when the reading began */
    bool udp_under_way;

    /* The reading of the TCP table that is under way. What it finds is what there is when it began. */
    bool without_lists;
    bool slow; /* it ends by world_table_answers() alone, else at the next settling */
    struct {
        bool under_way, sockets;
        struct world_table listening, connected;
        struct tuple owners_of[PENDING_HELD_MAX];
        uint32_t owners[PENDING_HELD_MAX], count;
    } reading;

    /* What the engine has asked and said. */
    uint32_t table_looks;     /* how often the TCP table was asked, */
    uint32_t owner_asked;     /* of how many connections, */
    struct tuple owner_tuple; /* and of which one last */
    uint32_t flows_begun, flows_ended;
    uint32_t warned;              /* how often the proxy was said not to listen, */
    struct tuple warned_of;       /* and where it was, last */
    uint32_t filters_late;        /* how often the filter was said to have come too late, */
    struct tuple filter_late_for; /* and for which connection, last */
    uint32_t spared_pid;          /* the process that was last said to be a proxy, */
    struct tuple spared_at;       /* and where */
    uint32_t led, led_pid;        /* how often a connection was said to be led by another redirector, whose, */
    uint32_t segments_lost;       /* how often large replies were said not to arrive */
    struct tuple led_of;          /* and which, last */
    uint32_t no_listener;         /* how often it was said that the tree has none */
    uint32_t bypassed[BYPASSES];  /* how often each way around the proxy was told of, */
    uint64_t bypassed_connections[BYPASSES]; /* and with how many connections */
};

/** What the engine may ask this machine for. */
enum world_kind {
    WORLD_WITHOUT_TABLES, /* no listeners, no sockets: the proxy is taken to listen, flows end by their packets */
    WORLD_WITH_TABLES,
};

/** `w` is zeroed, its hooks are set; its clock then shows a million. false: no memory. */
bool world_open(struct world *w, const struct engine_config *config, enum world_kind kind);
void world_close(struct world *w);

/** The host of this world, for one more engine. */
struct engine_host world_host(struct world *w, enum world_kind kind);

/** Without filters: every packet is captured from the start, and engine_capture_wanted() is not to be asked. */
void world_capture_all(struct engine *e);

/** What the host does at the end of a wake-up: the TCP table is read, and answers at once unless it is slow. */
void world_settle(struct world *w);

/** The reading that is under way ends, and what it has found is handed in. false: none is under way. */
bool world_table_answers(struct world *w);

/** The same for the UDP table. */
bool world_udp_table_answers(struct world *w);

/** Every listener is read anew. */
void world_scan_listeners(struct world *w);

/** Replaces the filter at once, or fails to, if the engine wants another one. NULL: it does not. */
const struct capture_set *world_replace_filter(struct world *w, bool ok);

void world_process_starts(struct world *w, uint32_t pid, uint64_t created, uint32_t parent, uint64_t parent_created);

/** The process can no longer be asked; its children lose the link to a living parent. */
void world_process_ends(struct world *w, uint32_t pid);

void world_process_path(struct world *w, uint32_t pid, const char *path);

/** The machine has this address, too; until the first one the engine does not know which it has. */
void world_has_address(struct world *w, const ip_addr *address, uint32_t family, uint32_t if_index);

void world_row_add(struct world_table *t, const struct tuple *tuple, uint32_t pid);
void world_row_remove(struct world_table *t, const struct tuple *tuple);

#endif
