/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one entry per pid, in a small chained table; this is the control way, where allocation is
 * allowed. A pid that comes again with another creation time replaces the old entry: the old process is certainly
 * gone.
 */
#include "process_tree.h"

#include <stdlib.h>

enum { BUCKETS = 256 };

struct member {
    struct member *next;
    struct process_id id;
    uint64_t exited_ms; /* if it has exited */
    bool exited;
    bool marked;
    bool pinned;
};

struct process_tree {
    struct member *buckets[BUCKETS];
    uint64_t oldest; /* creation time of the first member; 0: none known */
};

struct process_tree *process_tree_new(void)
{
    return calloc(1, sizeof(struct process_tree));
}

void process_tree_free(struct process_tree *t)
{
    for (uint32_t i = 0; t && i < BUCKETS; i++) {
        while (t->buckets[i]) {
            struct member *m = t->buckets[i];
            t->buckets[i] = m->next;
            free(m);
        }
    }
    free(t);
}

static struct member **bucket(struct process_tree *t, uint32_t pid)
{
    return &t->buckets[(pid >> 2) % BUCKETS]; /* Windows' pids are multiples of 4 */
}

/* Link to the member with this pid, or to the NULL at the end of its bucket. */
static struct member **link_of(struct process_tree *t, uint32_t pid)
{
    struct member **link = bucket(t, pid);
    while (*link && (*link)->id.pid != pid) {
        link = &(*link)->next;
    }
    return link;
}

static struct member *find(const struct process_tree *t, uint32_t pid)
{
    return *link_of((struct process_tree *)t, pid);
}

static void drop(struct member **link)
{
    struct member *m = *link;
    *link = m->next;
    free(m);
}

void process_tree_add(struct process_tree *t, struct process_id id)
{
    struct member *m = find(t, id.pid);
    if (!m) {
        m = calloc(1, sizeof *m);
        if (!m) {
            return; /* the process stays unknown and its connections pass: fail open */
        }
        m->next = *bucket(t, id.pid);
        *bucket(t, id.pid) = m;
    }
    if (m->id.created != id.created && id.created) {
        m->exited = m->marked = m->pinned = false;
    }
    m->id.pid = id.pid;
    m->id.created = id.created ? id.created : m->id.created;
    if (id.created && (!t->oldest || id.created < t->oldest)) {
        t->oldest = id.created;
    }
}

void process_tree_mark(struct process_tree *t, struct process_id id)
{
    process_tree_add(t, id);
    struct member *m = find(t, id.pid);
    if (m) {
        m->marked = true;
    }
}

void process_tree_pin(struct process_tree *t, struct process_id id)
{
    process_tree_add(t, id);
    struct member *m = find(t, id.pid);
    if (m) {
        m->pinned = id.created != 0;
    }
}

bool process_tree_is_pinned(const struct process_tree *t, uint32_t pid)
{
    const struct member *m = find(t, pid);
    return m && m->pinned && !m->exited;
}

bool process_tree_is_marked(const struct process_tree *t, uint32_t pid)
{
    const struct member *m = find(t, pid);
    return m && m->marked;
}

void process_tree_exit(struct process_tree *t, struct process_id id, uint64_t now_ms)
{
    struct member *m = find(t, id.pid);
    if (m && (!id.created || m->id.created == id.created)) {
        m->exited = true;
        m->exited_ms = now_ms;
    }
}

/*
 * Whether `m` can be the parent that `child` names: the very process, or, where the link names a dead parent, one
 * that is older (I2).
 */
static bool may_be_parent(const struct member *m, const struct process_facts *child)
{
    if (child->parent.created) {
        return m->id.created == child->parent.created && m->id.created <= child->self.created;
    }
    return m->id.created <= child->self.created;
}

bool process_tree_learn(struct process_tree *t, const struct process_facts *facts)
{
    struct member **link = link_of(t, facts->self.pid);
    if (*link && (*link)->id.created == facts->self.created) {
        return true;
    }
    if (*link) {
        drop(link); /* the pid was reused (a member without creation time was gone already): nothing is inherited */
    }
    const struct member *parent = find(t, facts->parent.pid);
    if (facts->in_tree || (parent && may_be_parent(parent, facts))) {
        process_tree_add(t, facts->self);
        return true;
    }
    return false;
}

bool process_tree_may_hold(const struct process_tree *t, struct process_id id)
{
    return t->oldest && id.created >= t->oldest;
}

bool process_tree_knows(const struct process_tree *t, uint32_t pid)
{
    return find(t, pid) != NULL;
}

void process_tree_tick(struct process_tree *t, uint64_t now_ms)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct member **link = &t->buckets[i];
        while (*link) {
            if ((*link)->exited && now_ms - (*link)->exited_ms >= PROCESS_TREE_FORGET_MS) {
                drop(link);
            } else {
                link = &(*link)->next;
            }
        }
    }
}
