/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The management interface of the filtering platform (fwpmk.h).
 *
 * Theory of operation: an engine handle is a session. A call outside a transaction is one by itself.
 * What a dynamic session has added is deleted when it is closed; all else stays until it is deleted. An
 * object to which a filter refers cannot be deleted, a dynamic session's only by that session.
 *
 * A filter's deletion (the commit, if there is a transaction) returns when no classification that may use
 * it is running. Microsoft does not promise that for FwpmFilterDeleteByKey0, but drivers free what rawContext
 * points to after it, and get away with it.
 */
#include "exports.h"
#include "objects.h"

static volatile LONG64 last_filter;

NTSTATUS NTAPI FwpmEngineOpen0(const WCHAR *server, uint32_t authentication, void *identity, const FWPM_SESSION0 *given,
                               HANDLE *engine)
{
    struct session *session;

    (void)authentication;
    (void)identity;
    if (!engine || server) {
        return STATUS_INVALID_PARAMETER;
    }
    session = lab_allocate(sizeof(*session));
    if (!session) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    session->dynamic = given && given->flags & FWPM_SESSION_FLAG_DYNAMIC;
    *engine = session;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI FwpmEngineClose0(HANDLE engine)
{
    struct session *session = engine;
    struct object *object;

    if (session->in_transaction) {
        transaction_end(session, false);
    }
    if (session->dynamic && NT_SUCCESS(transaction_begin(session))) {
        mutex_lock(&fwp_lock);
        for (int kind = 0; kind < KINDS; kind++) {
            while ((object = object_next(NULL, session, kind)) != NULL && NT_SUCCESS(object_delete(session, object))) {
                ;
            }
        }
        mutex_unlock(&fwp_lock);
        transaction_end(session, true);
    }
    lab_free(session);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI FwpmTransactionBegin0(HANDLE engine, uint32_t flags)
{
    (void)flags; /* a read-only one is a transaction that changes nothing */
    return transaction_begin(engine);
}

NTSTATUS NTAPI FwpmTransactionCommit0(HANDLE engine)
{
    return transaction_end(engine, true);
}

NTSTATUS NTAPI FwpmTransactionAbort0(HANDLE engine)
{
    return transaction_end(engine, false);
}

/* A transaction of the call's own, if the session is in none. *own says so. */
static NTSTATUS call_begin(struct session *session, bool *own)
{
    *own = !session->in_transaction;
    return *own ? transaction_begin(session) : STATUS_SUCCESS;
}

static NTSTATUS call_end(struct session *session, bool own, NTSTATUS status)
{
    NTSTATUS ended = own ? transaction_end(session, NT_SUCCESS(status)) : STATUS_SUCCESS;

    return NT_SUCCESS(status) ? ended : status;
}

static NTSTATUS delete_by_key(struct session *session, enum kind kind, const GUID *key, NTSTATUS not_found)
{
    struct object *object;
    NTSTATUS status;
    bool own;

    status = call_begin(session, &own);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    mutex_lock(&fwp_lock);
    object = object_find(kind, key);
    status = object ? object_delete(session, object) : not_found;
    mutex_unlock(&fwp_lock);
    return call_end(session, own, status);
}

/* An object of which only key, weight and layer matter. A name it must have. */
static NTSTATUS add_plain(struct session *session, enum kind kind, const GUID *key, const FWPM_DISPLAY_DATA0 *display,
                          uint16_t weight, enum layer layer)
{
    struct object *object;
    NTSTATUS status;
    bool own;

    if (!display->name) {
        return FWP_NULL_DISPLAY_NAME;
    }
    status = call_begin(session, &own);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    mutex_lock(&fwp_lock);
    if (object_find(kind, key)) {
        status = FWP_ALREADY_EXISTS;
    } else if ((object = object_add(session, kind, key)) == NULL) {
        status = STATUS_INSUFFICIENT_RESOURCES;
    } else {
        object->weight = weight;
        object->layer = layer;
    }
    mutex_unlock(&fwp_lock);
    return call_end(session, own, status);
}

NTSTATUS NTAPI FwpmProviderAdd0(HANDLE engine, const FWPM_PROVIDER0 *provider, void *security)
{
    (void)security;
    return add_plain(engine, KIND_PROVIDER, &provider->providerKey, &provider->displayData, 0, LAYERS);
}

NTSTATUS NTAPI FwpmProviderDeleteByKey0(HANDLE engine, const GUID *key)
{
    return delete_by_key(engine, KIND_PROVIDER, key, FWP_PROVIDER_NOT_FOUND);
}

NTSTATUS NTAPI FwpmSubLayerAdd0(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, void *security)
{
    (void)security;
    return add_plain(engine, KIND_SUBLAYER, &sublayer->subLayerKey, &sublayer->displayData, sublayer->weight, LAYERS);
}

NTSTATUS NTAPI FwpmSubLayerDeleteByKey0(HANDLE engine, const GUID *key)
{
    return delete_by_key(engine, KIND_SUBLAYER, key, FWP_SUBLAYER_NOT_FOUND);
}

static enum layer layer_of_key(const GUID *key)
{
    enum layer layer = 0;

    while (layer < LAYERS && !guid_equal(&layer_facts[layer].key, key)) {
        layer++;
    }
    return layer;
}

NTSTATUS NTAPI FwpmCalloutAdd0(HANDLE engine, const FWPM_CALLOUT0 *callout, void *security, uint32_t *id)
{
    enum layer layer = layer_of_key(&callout->applicableLayer);

    (void)security;
    if (layer == LAYERS) {
        return FWP_LAYER_NOT_FOUND;
    }
    if (id) {
        return STATUS_NOT_SUPPORTED; /* the id is the one that registering gives */
    }
    return add_plain(engine, KIND_CALLOUT, &callout->calloutKey, &callout->displayData, 0, layer);
}

NTSTATUS NTAPI FwpmCalloutDeleteByKey0(HANDLE engine, const GUID *key)
{
    return delete_by_key(engine, KIND_CALLOUT, key, FWP_CALLOUT_NOT_FOUND);
}

static bool is_callout_action(uint32_t type)
{
    return type == FWP_ACTION_CALLOUT_TERMINATING || type == FWP_ACTION_CALLOUT_INSPECTION ||
           type == FWP_ACTION_CALLOUT_UNKNOWN;
}

static struct filter *filter_make(const FWPM_FILTER0 *given, enum layer layer)
{
    const struct handle *owner = handle_of_context((const void *)(uintptr_t)given->rawContext);
    struct filter *filter = lab_allocate(sizeof(*filter));

    if (!filter) {
        return NULL;
    }
    filter->references = 1;
    filter->layer = layer;
    filter->weight = *given->weight.uint64;
    filter->given.filterId = (uint64_t)InterlockedIncrement64(&last_filter);
    filter->given.weight.type = FWP_UINT64;
    filter->given.weight.uint64 = &filter->weight;
    filter->given.action.type = given->action.type;
    filter->given.context = given->rawContext;
    filter->owner = owner;
    if (owner) {
        filter->handle = owner->number;
        filter->how = owner->flags & WD_SNIFF ? LAB_SNIFFED : owner->flags & WD_DROP ? LAB_BLOCKED : LAB_DIVERTED;
    }
    return filter;
}

/* With the lock held. */
static NTSTATUS filter_attach(struct session *session, const FWPM_FILTER0 *given, struct filter *filter)
{
    struct object *sublayer = object_find(KIND_SUBLAYER, &given->subLayerKey);
    struct object *callout = object_find(KIND_CALLOUT, &given->action.calloutKey);
    struct object *object;

    if (object_find(KIND_FILTER, &given->filterKey)) {
        return FWP_ALREADY_EXISTS;
    }
    if (!sublayer) {
        return FWP_SUBLAYER_NOT_FOUND;
    }
    if (!callout) {
        return FWP_CALLOUT_NOT_FOUND;
    }
    if (callout->layer != filter->layer) {
        return FWP_INCOMPATIBLE_LAYER;
    }
    object = object_add(session, KIND_FILTER, &given->filterKey);
    if (!object) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    object->filter = filter;
    filter->references++;
    filter->sublayer = object->sublayer = sublayer;
    filter->sublayer_weight = filter->given.subLayerWeight = sublayer->weight;
    object->callout = callout;
    sublayer->users++;
    callout->users++;
    filter->callout_key = given->action.calloutKey;
    filter->callout = callout_of_key(&given->action.calloutKey);
    if (filter->callout) {
        filter->given.action.calloutId = filter->callout->id;
    }
    return STATUS_SUCCESS;
}

/* The driver's filters have no conditions and a weight of their own; others are refused rather than misunderstood. */
NTSTATUS NTAPI FwpmFilterAdd0(HANDLE engine, const FWPM_FILTER0 *given, void *security, uint64_t *id)
{
    enum layer layer = layer_of_key(&given->layerKey);
    struct session *session = engine;
    struct filter *filter;
    fwps_notify_fn *notify;
    NTSTATUS status;
    bool own;

    (void)security;
    if (layer == LAYERS) {
        return FWP_LAYER_NOT_FOUND;
    }
    if (!given->displayData.name) {
        return FWP_NULL_DISPLAY_NAME;
    }
    if (!is_callout_action(given->action.type)) {
        return FWP_INVALID_ACTION_TYPE;
    }
    if (given->weight.type != FWP_UINT64) {
        return FWP_INVALID_WEIGHT;
    }
    if (given->numFilterConditions) {
        return STATUS_NOT_SUPPORTED;
    }
    filter = filter_make(given, layer);
    if (!filter) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    status = call_begin(session, &own);
    if (!NT_SUCCESS(status)) {
        lab_free(filter);
        return status;
    }
    mutex_lock(&fwp_lock);
    status = filter_attach(session, given, filter);
    notify = NT_SUCCESS(status) && filter->callout ? filter->callout->given.notifyFn : NULL;
    mutex_unlock(&fwp_lock);
    if (notify) {
        status = notify(FWPS_CALLOUT_NOTIFY_ADD_FILTER, &given->filterKey, &filter->given);
    }
    if (id) {
        *id = filter->given.filterId;
    }
    status = call_end(session, own, status);
    mutex_lock(&fwp_lock);
    filter_release(filter);
    mutex_unlock(&fwp_lock);
    return status;
}

NTSTATUS NTAPI FwpmFilterDeleteByKey0(HANDLE engine, const GUID *key)
{
    return delete_by_key(engine, KIND_FILTER, key, FWP_FILTER_NOT_FOUND);
}
