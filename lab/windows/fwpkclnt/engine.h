/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the files of the filtering platform share. One lock guards all of it; nothing of the driver is
 * called while it is held.
 */
#ifndef LAB_FWP_ENGINE_H
#define LAB_FWP_ENGINE_H

#include "../runtime/linux.h"
#include "fwp.h"

extern struct mutex fwp_lock;

/* ------------------------------------------------------------------ layers.c */

struct layer_facts {
    GUID key;
    uint16_t id;     /* FWPS_LAYER_x */
    uint8_t fields;  /* how many */
    bool tells_only; /* its events cannot be prevented, callouts that see them only look */
};
extern const struct layer_facts layer_facts[LAYERS];

/* A callout as registered by the driver. */
struct callout {
    struct callout *next;
    uint32_t id;
    uint32_t flows; /* contexts that it keeps */
    FWPS_CALLOUT0 given;
};

struct object;

/* A filter as classifications see it. Alive while a snapshot or its object refers to it. */
struct filter {
    struct filter *next; /* at its layer, in the order of evaluation */
    int references;
    volatile bool deleted;
    GUID callout_key;
    enum layer layer;
    uint16_t sublayer_weight;
    uint64_t weight;
    const struct object *sublayer;
    struct callout *volatile callout; /* NULL: not registered */
    const struct handle *owner;       /* NULL: not known */
    uint32_t handle;
    enum lab_how how; /* it takes packets */
    FWPS_FILTER0 given;
};

struct snapshot;

/* A classification that is running, on its thread's stack. */
struct visit {
    struct visit *next, *previous;
    void *thread;
    uint64_t serial;
    bool waiting; /* inside it, its thread waits for others: nobody waits for it */
    struct snapshot *snapshot;
    /* The callout that is being called. */
    bool told; /* has it been reported as taker (of the event)? */
    uint32_t handle;
    enum lab_how how;
    const void *taker; /* NULL: none is */
    NET_BUFFER_LIST *list;
    const struct sink *sink;
    const void *memory; /* allocated meanwhile: a copy of the event, unless it turns out to be something else */
};

/* All with the lock held. layer_add may fail: no memory. */
bool layer_add(struct filter *filter);
void layer_remove(struct filter *filter);
void layer_callout_changed(struct callout *callout, bool registered);
void filter_release(struct filter *filter);

/* Without the lock. A visit of layer LAYERS sees no filters. */
void visit_enter(struct visit *visit, enum layer layer);
void visit_leave(struct visit *visit);
struct visit *visit_of_thread(void);
void visits_wait(void); /* until all that are running now, except the caller's own, have ended */

uint32_t snapshot_count(const struct snapshot *snapshot);
struct filter *snapshot_filter(const struct snapshot *snapshot, uint32_t index);

/* Reports, once for each buffer and filter, that the callout of the visit takes what it looks at. */
void visit_take(struct visit *visit);

/* The driver has allocated memory, or has given it a use that is no taking. */
void visit_allocated(const void *memory);
void visit_explains(const void *memory);

/* ------------------------------------------------------------------ fwpsk_callout.c */

/* With the lock held. */
struct callout *callout_of_key(const GUID *key);
struct callout *callout_of_id(uint32_t id);

static inline bool guid_equal(const GUID *left, const GUID *right)
{
    return __builtin_memcmp(left, right, sizeof(*left)) == 0;
}

#endif
