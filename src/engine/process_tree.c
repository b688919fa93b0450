/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one entry per pid, in a chained table; this is the control way, where allocation is allowed. A
 * pid that comes again with another creation time replaces the old entry: the old process is certainly gone.
 *
 * Nobody tells when the children of a member that has ended will be seen for the first time, so it is not forgotten
 * after some time, but when there are too many: members that are not pinned stand in a queue, in the order in which
 * they were added or ended. A pid of one that ended long ago may have been a stranger's since, whose orphans name it,
 * too. So they count only if they were created while the member lived.
 */
#include "process_tree.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

/*
 * The times of creation and end are those of Windows' clock, which it reads in different grain: a child can seem to
 * have been created a moment after its parent's end. 100 ns units.
 */
enum { GRAIN = 20 * 10000 };

struct member {
    struct member *next;          /* in its bucket */
    struct member *older, *newer; /* in the queue */
    struct process_id id;
    uint64_t from, ended; /* created no earlier, ended no later; ended 0: unknown */
    uint64_t exited_ms;   /* if it has exited */
    bool exited;
    bool marked;
    bool pinned;
};

struct process_tree {
    struct member *buckets[BUCKETS];
    struct member *first, *last; /* the queue of those that are not pinned */
    uint32_t unpinned;
    uint64_t oldest; /* creation time of the first member; 0: none known */
    uint64_t forgotten;
    uint64_t now_ms;
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

/* ---- the queue */

static void leave_queue(struct process_tree *t, struct member *m)
{
    *(m->older ? &m->older->newer : &t->first) = m->newer;
    *(m->newer ? &m->newer->older : &t->last) = m->older;
    m->older = m->newer = NULL;
    t->unpinned--;
}

static void join_queue(struct process_tree *t, struct member *m)
{
    m->older = t->last;
    *(t->last ? &t->last->newer : &t->first) = m;
    t->last = m;
    t->unpinned++;
}

static void drop(struct process_tree *t, struct member **link)
{
    struct member *m = *link;
    if (!m->pinned) {
        leave_queue(t, m);
    }
    *link = m->next;
    free(m);
}

static void set_pinned(struct process_tree *t, struct member *m, bool pinned)
{
    if (!m->pinned) {
        leave_queue(t, m);
    }
    m->pinned = pinned;
    if (!pinned) {
        join_queue(t, m);
    }
}

/* ---- members */

/* A place for a member with this pid; what was known of it stays. NULL: no memory. */
static struct member *place(struct process_tree *t, uint32_t pid)
{
    struct member *m = find(t, pid);
    if (m) {
        return m;
    }
    if (t->unpinned >= PROCESS_TREE_UNPINNED_MAX) {
        drop(t, link_of(t, t->first->id.pid));
        t->forgotten++;
    }
    m = calloc(1, sizeof *m);
    if (!m) {
        t->forgotten++; /* the process stays unknown and its connections pass: fail open */
        return NULL;
    }
    m->id.pid = pid;
    m->next = *bucket(t, pid);
    *bucket(t, pid) = m;
    join_queue(t, m);
    return m;
}

static struct member *add(struct process_tree *t, struct process_id id)
{
    struct member *m = place(t, id.pid);
    if (m && id.created) {
        if (m->id.created != id.created) {
            m->exited = m->marked = false;
            m->ended = 0;
            set_pinned(t, m, false);
        }
        m->id.created = m->from = id.created;
        if (!t->oldest || id.created < t->oldest) {
            t->oldest = id.created;
        }
    }
    return m;
}

void process_tree_add(struct process_tree *t, struct process_id id)
{
    add(t, id);
}

void process_tree_mark(struct process_tree *t, struct process_id id)
{
    struct member *m = add(t, id);
    if (m) {
        m->marked = true;
    }
}

void process_tree_pin(struct process_tree *t, struct process_id id)
{
    struct member *m = add(t, id);
    if (m) {
        set_pinned(t, m, id.created != 0);
    }
}

void process_tree_gone(struct process_tree *t, uint32_t pid, uint64_t from, uint64_t to)
{
    struct member *m = place(t, pid);
    if (m) {
        m->id.created = 0;
        m->from = from;
        m->exited = m->marked = false;
        process_tree_exit(t, m->id, to);
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

void process_tree_exit(struct process_tree *t, struct process_id id, uint64_t ended)
{
    struct member *m = find(t, id.pid);
    if (m && (id.created ? m->id.created == id.created : !m->exited)) {
        m->exited = true;
        m->ended = ended ? ended + GRAIN : 0;
        m->exited_ms = t->now_ms;
        set_pinned(t, m, false);
    }
}

/*
 * Whether `m` can be the parent that `child` names: the very process, or, where the link names a dead parent, one
 * that lived when the child was created (I2).
 */
static bool may_be_parent(const struct member *m, const struct process_facts *child)
{
    if (child->parent.created) {
        return m->id.created == child->parent.created && m->id.created <= child->self.created;
    }
    return m->from <= child->self.created && (!m->ended || child->self.created <= m->ended);
}

bool process_tree_learn(struct process_tree *t, const struct process_facts *facts)
{
    struct member **link = link_of(t, facts->self.pid);
    if (*link && (*link)->id.created == facts->self.created) {
        return true;
    }
    if (*link) {
        drop(t, link); /* the pid was reused (a member without creation time was gone already): nothing is inherited */
    }
    const struct member *parent = find(t, facts->parent.pid);
    if (facts->in_tree || (parent && may_be_parent(parent, facts))) {
        process_tree_add(t, facts->self);
        return true;
    }
    return false;
}

bool process_tree_seen(struct process_tree *t, const struct process_facts *facts)
{
    const struct member *m = find(t, facts->self.pid);
    bool later = m && m->id.created != facts->self.created && (m->pinned || facts->self.created <= m->from);
    return !later && process_tree_learn(t, facts);
}

bool process_tree_may_hold(const struct process_tree *t, struct process_id id)
{
    return t->oldest && id.created >= t->oldest;
}

bool process_tree_knows(const struct process_tree *t, uint32_t pid)
{
    const struct member *m = find(t, pid);
    return m && (!m->exited || t->now_ms - m->exited_ms < PROCESS_TREE_RECENT_MS);
}

uint64_t process_tree_forgotten(const struct process_tree *t)
{
    return t->forgotten;
}

void process_tree_tick(struct process_tree *t, uint64_t now_ms)
{
    t->now_ms = now_ms;
}
