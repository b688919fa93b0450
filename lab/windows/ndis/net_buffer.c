/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the bytes of a NET_BUFFER lie in a chain of MDLs; the data begins DataOffset bytes
 * into the chain, and CurrentMdl with CurrentMdlOffset name the same place. Moving the start is walking
 * the chain again from its head: chains here have one or two links.
 */
#include "net_buffer.h"

#include <string.h>

static uint8_t *mdl_bytes(const MDL *mdl)
{
    if (mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) {
        return mdl->MappedSystemVa;
    }
    return (uint8_t *)mdl->StartVa + mdl->ByteOffset;
}

void mdl_describe(MDL *mdl, void *data, uint32_t length)
{
    memset(mdl, 0, sizeof(*mdl));
    mdl->Size = sizeof(*mdl);
    mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    mdl->StartVa = (void *)((uintptr_t)data & ~(uintptr_t)0xfff);
    mdl->ByteOffset = (ULONG)((uintptr_t)data & 0xfff);
    mdl->ByteCount = length;
    mdl->MappedSystemVa = data;
}

static void place(NET_BUFFER *buffer)
{
    MDL *mdl = buffer->MdlChain;
    ULONG offset = buffer->DataOffset;

    for (; mdl->Next && offset >= mdl->ByteCount; mdl = mdl->Next) {
        offset -= mdl->ByteCount;
    }
    buffer->CurrentMdl = mdl;
    buffer->CurrentMdlOffset = offset;
}

void net_buffer_list_init(NET_BUFFER_LIST *list)
{
    memset(list, 0, sizeof(*list));
}

void net_buffer_init(NET_BUFFER *buffer, MDL *chain, uint32_t offset, size_t length)
{
    memset(buffer, 0, sizeof(*buffer));
    buffer->MdlChain = chain;
    buffer->DataOffset = offset;
    buffer->DataLength = length;
    if (chain) {
        place(buffer);
    }
}

void net_buffer_append(NET_BUFFER_LIST *list, NET_BUFFER *buffer)
{
    NET_BUFFER **end = &list->FirstNetBuffer;

    while (*end) {
        end = &(*end)->Next;
    }
    *end = buffer;
    buffer->Next = NULL;
    buffer->list = list;
}

/* The storage serves only where the bytes are in several pieces, or not aligned as wanted. */
void *NTAPI NdisGetDataBuffer(NET_BUFFER *buffer, ULONG bytes, void *storage, ULONG align_multiple, ULONG align_offset)
{
    MDL *mdl = buffer->CurrentMdl;
    ULONG offset = buffer->CurrentMdlOffset;
    ULONG done = 0;

    if (buffer->list) {
        buffer->list->looked_at = buffer;
    }
    if (bytes == 0 || bytes > buffer->DataLength) {
        return NULL;
    }
    if (mdl->ByteCount - offset >= bytes) {
        uint8_t *data = mdl_bytes(mdl) + offset;

        if (align_multiple <= 1 || ((uintptr_t)data - align_offset) % align_multiple == 0) {
            return data;
        }
    }
    if (!storage) {
        return NULL;
    }
    for (; done < bytes && mdl; mdl = mdl->Next, offset = 0) {
        ULONG part = mdl->ByteCount - offset;

        if (part > bytes - done) {
            part = bytes - done;
        }
        memcpy((uint8_t *)storage + done, mdl_bytes(mdl) + offset, part);
        done += part;
    }
    return done == bytes ? storage : NULL;
}

void NTAPI NdisAdvanceNetBufferDataStart(NET_BUFFER *buffer, ULONG delta, BOOLEAN free_mdl, void *free_handler)
{
    (void)free_mdl; /* only what a retreat has allocated would be freed, and none does */
    (void)free_handler;
    buffer->DataOffset += delta;
    buffer->DataLength -= delta;
    place(buffer);
}

/* Windows would allocate an MDL if there is no room before the data; the driver only goes back where it came from. */
NTSTATUS NTAPI NdisRetreatNetBufferDataStart(NET_BUFFER *buffer, ULONG delta, ULONG back_fill, void *alloc_handler)
{
    (void)back_fill;
    (void)alloc_handler;
    if (delta > buffer->DataOffset) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    buffer->DataOffset -= delta;
    buffer->DataLength += delta;
    place(buffer);
    return STATUS_SUCCESS;
}
