/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a pool knows what it was made for and keeps what has been freed for the next who
 * asks: an injection costs no allocation here. Freeing a pool whose lists are still out is the driver's
 * mistake, on Windows as here; it is written to the log.
 */
#include "net_buffer.h"

#include "../runtime/linux.h"

enum { OBJECT_TYPE_DEFAULT = 0x80, SPARE_MAX = 256 };

struct object_header {
    UCHAR Type;
    UCHAR Revision;
    USHORT Size;
};

struct list_pool_parameters {
    struct object_header Header;
    UCHAR ProtocolId;
    BOOLEAN fAllocateNetBuffer;
    USHORT ContextSize;
    ULONG PoolTag;
    ULONG DataSize;
};

struct buffer_pool_parameters {
    struct object_header Header;
    ULONG PoolTag;
    ULONG DataSize;
};

struct pool {
    struct mutex lock;
    bool gives_buffers; /* lists come with a buffer, without memory for data */
    uint32_t out, spare;
    NET_BUFFER_LIST *spares;
};

static HANDLE NTAPI NdisAllocateNetBufferListPool(HANDLE ndis_handle, const struct list_pool_parameters *parameters)
{
    struct pool *pool;

    (void)ndis_handle;
    if (parameters->Header.Type != OBJECT_TYPE_DEFAULT || parameters->Header.Revision == 0 ||
        parameters->Header.Size < sizeof(*parameters)) {
        return NULL;
    }
    pool = lab_allocate(sizeof(*pool));
    if (pool) {
        pool->gives_buffers = parameters->fAllocateNetBuffer && parameters->DataSize == 0;
    }
    return pool;
}

static HANDLE NTAPI NdisAllocateNetBufferPool(HANDLE ndis_handle, const struct buffer_pool_parameters *parameters)
{
    (void)ndis_handle;
    if (parameters->Header.Type != OBJECT_TYPE_DEFAULT || parameters->Header.Revision == 0 ||
        parameters->Header.Size < sizeof(*parameters)) {
        return NULL;
    }
    return lab_allocate(sizeof(struct pool));
}

static void pool_free(struct pool *pool, const char *what)
{
    if (pool->out) {
        lab_log("ndis: a pool of %s is freed while %u are out", what, pool->out);
    }
    while (pool->spares) {
        NET_BUFFER_LIST *list = pool->spares;

        pool->spares = list->Next;
        lab_free(list);
    }
    lab_free(pool);
}

static void NTAPI NdisFreeNetBufferListPool(HANDLE handle)
{
    pool_free(handle, "buffer lists");
}

static void NTAPI NdisFreeNetBufferPool(HANDLE handle)
{
    pool_free(handle, "buffers");
}

NET_BUFFER_LIST *net_buffer_list_allocate(HANDLE handle)
{
    struct pool *pool = handle;
    NET_BUFFER_LIST *list;

    if (!pool || !pool->gives_buffers) {
        return NULL;
    }
    mutex_lock(&pool->lock);
    list = pool->spares;
    if (list) {
        pool->spares = list->Next;
        pool->spare--;
    }
    pool->out++;
    mutex_unlock(&pool->lock);
    if (!list) {
        list = lab_allocate(sizeof(*list));
    }
    if (!list) {
        mutex_lock(&pool->lock);
        pool->out--;
        mutex_unlock(&pool->lock);
        return NULL;
    }
    net_buffer_list_init(list);
    list->NdisPoolHandle = pool;
    return list;
}

void net_buffer_list_free(NET_BUFFER_LIST *list)
{
    struct pool *pool = list->NdisPoolHandle;

    mutex_lock(&pool->lock);
    pool->out--;
    if (pool->spare < SPARE_MAX) {
        list->Next = pool->spares;
        pool->spares = list;
        pool->spare++;
        list = NULL;
    }
    mutex_unlock(&pool->lock);
    if (list) {
        lab_free(list);
    }
}

const struct import ndis_imports[] = {
    {"NdisAllocateNetBufferListPool", NdisAllocateNetBufferListPool},
    {"NdisAllocateNetBufferPool", NdisAllocateNetBufferPool},
    {"NdisFreeNetBufferListPool", NdisFreeNetBufferListPool},
    {"NdisFreeNetBufferPool", NdisFreeNetBufferPool},
    {"NdisGetDataBuffer", NdisGetDataBuffer},
    {"NdisAdvanceNetBufferDataStart", NdisAdvanceNetBufferDataStart},
    {"NdisRetreatNetBufferDataStart", NdisRetreatNetBufferDataStart},
    {NULL, NULL},
};
