/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: objects stand in a hash table by their key. A transaction only marks: what is added
 * is there but not in force, what is deleted is in force but not found. Commit makes the marks true and
 * brings filters into their layers, abort takes them back. One transaction runs at a time, as on Windows;
 * the lock that says so is free again before anybody waits for classifications to end.
 */
#include "objects.h"

enum { CHAINS = 1024 };

static struct object *chains[CHAINS];
static struct mutex transaction_lock;

static struct object **chain_of(const GUID *key)
{
    uint32_t hash = key->Data1 ^ (uint32_t)key->Data2 << 16 ^ key->Data3;

    for (int i = 0; i < 8; i++) {
        hash = hash * 31 + key->Data4[i];
    }
    return &chains[(hash ^ hash >> 16) % CHAINS];
}

struct object *object_find(enum kind kind, const GUID *key)
{
    struct object *object = *chain_of(key);

    while (object && (object->kind != kind || object->deleting || !guid_equal(&object->key, key))) {
        object = object->next;
    }
    return object;
}

/* The next of a session's objects of one kind that is not being deleted, in an order of its own. */
struct object *object_next(const struct object *after, const struct session *session, enum kind kind)
{
    unsigned chain = after ? (unsigned)(chain_of(&after->key) - chains) : 0;
    struct object *object = after ? after->next : chains[0];

    for (;;) {
        for (; object; object = object->next) {
            if (object->session == session && object->kind == kind && !object->deleting) {
                return object;
            }
        }
        if (++chain == CHAINS) {
            return NULL;
        }
        object = chains[chain];
    }
}

static void note_change(struct session *session, struct object *object)
{
    if (object->changed) {
        return;
    }
    object->changed = true;
    object->next_change = session->changes;
    session->changes = object;
}

struct object *object_add(struct session *session, enum kind kind, const GUID *key)
{
    struct object *object = lab_allocate(sizeof(*object));
    struct object **chain = chain_of(key);

    if (!object) {
        return NULL;
    }
    object->kind = kind;
    object->key = *key;
    object->session = session->dynamic ? session : NULL;
    object->adding = true;
    object->next = *chain;
    *chain = object;
    note_change(session, object);
    return object;
}

static void use(struct object *object, int more)
{
    if (object->sublayer) {
        object->sublayer->users += (uint32_t)more;
    }
    if (object->callout) {
        object->callout->users += (uint32_t)more;
    }
}

NTSTATUS object_delete(struct session *session, struct object *object)
{
    if (object->session && object->session != session) {
        return FWP_WRONG_SESSION;
    }
    if (object->users > 0) {
        return FWP_IN_USE;
    }
    object->deleting = true;
    use(object, -1);
    note_change(session, object);
    return STATUS_SUCCESS;
}

static void object_free(struct object *object)
{
    struct object **at = chain_of(&object->key);

    while (*at != object) {
        at = &(*at)->next;
    }
    *at = object->next;
    if (object->filter) {
        filter_release(object->filter);
    }
    lab_free(object);
}

static struct object *take_change(struct session *session)
{
    struct object *object = session->changes;

    if (object) {
        session->changes = object->next_change;
        object->changed = false;
    }
    return object;
}

/* Filters that are added first: that alone can fail. */
static bool filters_add(struct session *session)
{
    for (struct object *object = session->changes; object; object = object->next_change) {
        if (object->kind != KIND_FILTER || !object->adding || object->deleting) {
            continue;
        }
        if (!layer_add(object->filter)) {
            for (struct object *done = session->changes; done != object; done = done->next_change) {
                if (done->kind == KIND_FILTER && done->adding && !done->deleting) {
                    layer_remove(done->filter);
                }
            }
            return false;
        }
    }
    return true;
}

/* True: filters have left their layers, whose classifications are to be waited for. */
static bool changes_commit(struct session *session)
{
    struct object *object;
    bool left = false;

    while ((object = take_change(session)) != NULL) {
        if (object->deleting) {
            if (object->kind == KIND_FILTER && !object->adding) {
                layer_remove(object->filter);
                left = true;
            }
            object_free(object);
        } else {
            object->adding = false;
        }
    }
    return left;
}

static void changes_abort(struct session *session)
{
    struct object *object;

    for (object = session->changes; object; object = object->next_change) {
        if (object->deleting) {
            use(object, 1);
        }
        object->deleting = false;
        if (object->adding) {
            use(object, -1);
        }
    }
    while ((object = take_change(session)) != NULL) {
        if (object->adding) {
            object_free(object);
        }
    }
}

NTSTATUS transaction_begin(struct session *session)
{
    if (session->in_transaction) {
        return FWP_TXN_IN_PROGRESS;
    }
    mutex_lock(&transaction_lock);
    session->in_transaction = true;
    return STATUS_SUCCESS;
}

NTSTATUS transaction_end(struct session *session, bool commit)
{
    NTSTATUS status = STATUS_SUCCESS;
    bool wait = false;

    if (!session->in_transaction) {
        return FWP_NO_TXN_IN_PROGRESS;
    }
    mutex_lock(&fwp_lock);
    if (commit && !filters_add(session)) {
        commit = false;
        status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (commit) {
        wait = changes_commit(session);
    } else {
        changes_abort(session);
    }
    mutex_unlock(&fwp_lock);
    session->in_transaction = false;
    mutex_unlock(&transaction_lock);
    if (wait) {
        visits_wait();
    }
    return status;
}
