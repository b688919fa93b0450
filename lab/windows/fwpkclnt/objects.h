/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The engine's objects (providers, sublayers, callouts, filters), its sessions and their transactions.
 */
#ifndef LAB_FWP_OBJECTS_H
#define LAB_FWP_OBJECTS_H

#include "engine.h"

enum kind { KIND_FILTER, KIND_CALLOUT, KIND_SUBLAYER, KIND_PROVIDER, KINDS };

struct object {
    struct object *next;        /* of its hash chain */
    struct object *next_change; /* of the transaction */
    enum kind kind;
    GUID key;
    struct session *session; /* a dynamic one, with which it goes; NULL: none */
    bool changed, adding, deleting;
    uint32_t users; /* filters that refer to it */
    uint16_t weight;
    enum layer layer;
    struct object *sublayer, *callout; /* of a filter */
    struct filter *filter;
};

struct session {
    bool dynamic, in_transaction;
    struct object *changes;
};

/* With the lock held. An object that is being deleted is not found. */
struct object *object_find(enum kind kind, const GUID *key);
struct object *object_next(const struct object *after, const struct session *session, enum kind kind);
NTSTATUS object_delete(struct session *session, struct object *object);

/* Without the lock. Each call that changes something runs in a transaction: the session's, or one of its own. */
NTSTATUS transaction_begin(struct session *session);
NTSTATUS transaction_end(struct session *session, bool commit);

/* Puts a new object into the session's transaction, with the lock held. NULL: no memory. */
struct object *object_add(struct session *session, enum kind kind, const GUID *key);

#endif
