/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * wdfobject.h: what all objects of the framework have in common.
 *
 * Theory of operation: as KMDF documents it, an object is born with one reference. Deleting it deletes its
 * children first, calls its cleanup callback, takes it out of its parent and gives up that reference. With
 * the last reference its destroy callback is called and it is freed, its contexts with it. A child keeps a
 * reference to its parent, so that it may look at it until it is destroyed itself.
 *
 * An object whose execution level is "passive" must be destroyed at PASSIVE_LEVEL; KMDF leaves that to a
 * work item when the last reference goes away above it. The driver's files are such objects: it holds a
 * reference to the file while it classifies a packet, and the destruction waits until no classification of
 * the file's filters runs. Here *every* such object is left to one thread that does nothing else. Nothing
 * below it on its stack can be a classification, so none can wait for itself.
 */
#include "functions.h"

enum { CONTEXT_MAGIC = 0x43464457 }; /* "WDFC" */

struct wdf_context {
    struct wdf_context *next;
    const struct wdf_type *type;
    struct wdf_object *object;
    uint64_t magic;
    max_align_t data[];
};

static struct mutex tree; /* parent, children, sibling of all objects */
static struct jobs destructions;
static bool destructions_started;

static void add_child(struct wdf_object *parent, struct wdf_object *child)
{
    wdf_object_reference(parent);
    mutex_lock(&tree);
    child->parent = parent;
    child->sibling = parent->children;
    parent->children = child;
    mutex_unlock(&tree);
}

/* The parent stays referenced. */
static void remove_child(struct wdf_object *child)
{
    mutex_lock(&tree);
    if (child->parent) {
        struct wdf_object **at = &child->parent->children;

        while (*at && *at != child) {
            at = &(*at)->sibling;
        }
        if (*at) {
            *at = child->sibling;
        }
    }
    mutex_unlock(&tree);
}

void *wdf_object_create(enum wdf_kind kind, size_t size, const struct wdf_attributes *attributes, void *parent)
{
    struct wdf_object *object = lab_allocate(size);

    if (!object) {
        return NULL;
    }
    object->kind = kind;
    object->references = 1;
    if (attributes) {
        object->cleanup = attributes->cleanup;
        object->destroy = attributes->destroy;
        object->passive = attributes->execution_level == WDF_EXECUTION_PASSIVE;
        if (attributes->parent) {
            parent = attributes->parent;
        }
        if (attributes->type && !NT_SUCCESS(wdf_object_add_context(object, attributes, NULL))) {
            lab_free(object);
            return NULL;
        }
    }
    if (parent) {
        add_child(parent, object);
    }
    return object;
}

void wdf_object_reference(void *object)
{
    InterlockedIncrement(&((struct wdf_object *)object)->references);
}

static void destroy(struct wdf_object *object)
{
    struct wdf_object *parent = object->parent;

    if (object->destroy) {
        object->destroy(object);
    }
    if (object->release) {
        object->release(object);
    }
    while (object->contexts) {
        struct wdf_context *context = object->contexts;

        object->contexts = context->next;
        lab_free(context);
    }
    lab_free(object);
    if (parent) {
        wdf_object_dereference(parent);
    }
}

static void destroy_job(struct job *job)
{
    destroy(CONTAINING_RECORD(job, struct wdf_object, destruction));
}

void wdf_object_dereference(void *dereferenced)
{
    struct wdf_object *object = dereferenced;

    if (InterlockedDecrement(&object->references) > 0) {
        return;
    }
    if (object->passive && destructions_started) {
        object->destruction.run = destroy_job;
        jobs_add(&destructions, &object->destruction);
    } else {
        destroy(object);
    }
}

struct wdf_object *wdf_object_child(struct wdf_object *parent, enum wdf_kind kind)
{
    struct wdf_object *child;

    mutex_lock(&tree);
    child = parent->children;
    while (child && kind && child->kind != kind) {
        child = child->sibling;
    }
    if (child) {
        wdf_object_reference(child);
    }
    mutex_unlock(&tree);
    return child;
}

void wdf_object_delete(void *deleted)
{
    struct wdf_object *object = deleted, *child;

    if (InterlockedExchange(&object->deleted, 1)) {
        return;
    }
    while ((child = wdf_object_child(object, 0)) != NULL) {
        wdf_object_delete(child);
        remove_child(child); /* also if another thread is deleting it just now */
        wdf_object_dereference(child);
    }
    if (object->dispose) {
        object->dispose(object);
    }
    if (object->cleanup) {
        object->cleanup(object);
    }
    remove_child(object);
    wdf_object_dereference(object);
}

NTSTATUS wdf_object_add_context(void *extended, const struct wdf_attributes *attributes, void **data)
{
    struct wdf_object *object = extended;
    const struct wdf_type *type = attributes->type;
    struct wdf_context *context;
    size_t size = type->context_size;

    if (attributes->context_size_override > size) {
        size = attributes->context_size_override;
    }
    context = lab_allocate(sizeof(*context) + size);
    if (!context) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    context->type = type;
    context->object = object;
    context->magic = CONTEXT_MAGIC;
    context->next = object->contexts;
    object->contexts = context;
    if (data) {
        *data = context->data;
    }
    return STATUS_SUCCESS;
}

void *wdf_object_context(void *extended, size_t size)
{
    for (struct wdf_context *context = ((struct wdf_object *)extended)->contexts; context; context = context->next) {
        if (context->type->context_size == size) {
            return context->data;
        }
    }
    return NULL;
}

struct wdf_object *wdf_object_of_context(const void *data)
{
    const struct wdf_context *context;

    if (!data) {
        return NULL;
    }
    context = CONTAINING_RECORD(data, struct wdf_context, data);
    return context->magic == CONTEXT_MAGIC ? context->object : NULL;
}

bool wdf_objects_start(void)
{
    destructions_started = jobs_start(&destructions, 1);
    return destructions_started;
}

void wdf_objects_wait(void)
{
    jobs_wait(&destructions);
}

void wdf_objects_stop(void)
{
    if (destructions_started) {
        jobs_stop(&destructions);
    }
    destructions_started = false;
}

void *NTAPI WdfObjectGetTypedContextWorker(struct wdf_globals *globals, struct wdf_object *object,
                                           const struct wdf_type *type)
{
    (void)globals;
    for (struct wdf_context *context = object->contexts; context; context = context->next) {
        if (context->type == type || context->type->unique == type) {
            return context->data;
        }
    }
    lab_log("framework: object %p of kind %d has no context \"%s\"", object, object->kind, type->name);
    return NULL;
}

NTSTATUS NTAPI WdfObjectAllocateContext(struct wdf_globals *globals, struct wdf_object *object,
                                        const struct wdf_attributes *attributes, void **context)
{
    (void)globals;
    return wdf_object_add_context(object, attributes, context);
}

void NTAPI WdfObjectReferenceActual(struct wdf_globals *globals, struct wdf_object *object, void *tag, LONG line,
                                    const char *file)
{
    (void)globals;
    (void)tag;
    (void)line;
    (void)file;
    wdf_object_reference(object);
}

void NTAPI WdfObjectDereferenceActual(struct wdf_globals *globals, struct wdf_object *object, void *tag, LONG line,
                                      const char *file)
{
    (void)globals;
    (void)tag;
    (void)line;
    (void)file;
    wdf_object_dereference(object);
}

void NTAPI WdfObjectDelete(struct wdf_globals *globals, struct wdf_object *object)
{
    (void)globals;
    wdf_object_delete(object);
}
