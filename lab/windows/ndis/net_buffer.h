/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * NET_BUFFER and NET_BUFFER_LIST as drivers for x64 Windows see them: NDIS 6's public layout, up to the
 * members that macros of ndis.h touch. What follows those is the lab's own.
 */
#ifndef LAB_NET_BUFFER_H
#define LAB_NET_BUFFER_H

#include "../platform.h"

typedef struct _NET_BUFFER_LIST NET_BUFFER_LIST;
typedef struct _NET_BUFFER NET_BUFFER;

struct _NET_BUFFER {
    NET_BUFFER *Next;
    MDL *CurrentMdl;
    ULONG CurrentMdlOffset;
    SIZE_T DataLength;
    MDL *MdlChain;
    ULONG DataOffset;
    USHORT ChecksumBias;
    USHORT Reserved;
    HANDLE NdisPoolHandle;
    __attribute__((aligned(16))) void *NdisReserved[2];
    __attribute__((aligned(16))) void *ProtocolReserved[6];
    __attribute__((aligned(16))) void *MiniportReserved[4];
    LARGE_INTEGER DataPhysicalAddress;
    void *ScatterGatherList;

    /* The lab's own. */
    NET_BUFFER_LIST *list;
    const uint8_t *packet; /* from the IP header on, in one piece, wherever the data starts at present */
    uint32_t packet_length;
    uint64_t packet_id; /* of LAB_PACKET; 0: injected */
    const void *taker;  /* the filter at which it has been reported as taken */
};

enum { NBL_INFOS = 32, NBL_CHECKSUM_INFO = 0 };

struct _NET_BUFFER_LIST {
    NET_BUFFER_LIST *Next;
    NET_BUFFER *FirstNetBuffer;
    void *Context;
    NET_BUFFER_LIST *ParentNetBufferList;
    HANDLE NdisPoolHandle;
    __attribute__((aligned(16))) void *NdisReserved[2];
    __attribute__((aligned(16))) void *ProtocolReserved[4];
    __attribute__((aligned(16))) void *MiniportReserved[2];
    void *Scratch;
    HANDLE SourceHandle;
    ULONG NblFlags;
    LONG ChildRefCount;
    ULONG Flags;
    NTSTATUS Status;
    void *NetBufferListInfo[NBL_INFOS];

    /* The lab's own. */
    NET_BUFFER *looked_at; /* the buffer whose bytes were asked for last */
    HANDLE injected_by;    /* injection handle; NULL: none */
    void *injection_context;
    bool impostor; /* injected by another driver */
    NET_BUFFER first;
};

#define NET_BUFFER_AT(type, member, offset)                                                                            \
    _Static_assert(__builtin_offsetof(type, member) == (offset), "public layout of NDIS 6 on x64")
NET_BUFFER_AT(NET_BUFFER, CurrentMdl, 0x08);
NET_BUFFER_AT(NET_BUFFER, CurrentMdlOffset, 0x10);
NET_BUFFER_AT(NET_BUFFER, DataLength, 0x18);
NET_BUFFER_AT(NET_BUFFER, MdlChain, 0x20);
NET_BUFFER_AT(NET_BUFFER, DataOffset, 0x28);
NET_BUFFER_AT(NET_BUFFER, NdisPoolHandle, 0x30);
NET_BUFFER_AT(NET_BUFFER, ProtocolReserved, 0x50);
NET_BUFFER_AT(NET_BUFFER, DataPhysicalAddress, 0xa0);
NET_BUFFER_AT(NET_BUFFER_LIST, FirstNetBuffer, 0x08);
NET_BUFFER_AT(NET_BUFFER_LIST, NdisPoolHandle, 0x20);
NET_BUFFER_AT(NET_BUFFER_LIST, SourceHandle, 0x78);
NET_BUFFER_AT(NET_BUFFER_LIST, Status, 0x8c);
NET_BUFFER_AT(NET_BUFFER_LIST, NetBufferListInfo, 0x90);
#undef NET_BUFFER_AT

/* NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO: what the card shall compute (sending), what it has found (receiving). */
enum {
    TRANSMIT_IS_IPV4 = 0x01,
    TRANSMIT_IS_IPV6 = 0x02,
    TRANSMIT_TCP_SUM = 0x04,
    TRANSMIT_UDP_SUM = 0x08,
    TRANSMIT_IP_SUM = 0x10,
    RECEIVE_TCP_SUCCEEDED = 0x08,
    RECEIVE_UDP_SUCCEEDED = 0x10,
    RECEIVE_IP_SUCCEEDED = 0x20,
};

/* A descriptor of bytes that are in memory anyway. */
void mdl_describe(MDL *mdl, void *data, uint32_t length);

/* An empty list; a buffer at its end that begins at an offset into a chain. */
void net_buffer_list_init(NET_BUFFER_LIST *list);
void net_buffer_init(NET_BUFFER *buffer, MDL *chain, uint32_t offset, size_t length);
void net_buffer_append(NET_BUFFER_LIST *list, NET_BUFFER *buffer);

/* A list with one buffer, of the pool. NULL: no memory, or the pool is not one for lists with buffers. */
NET_BUFFER_LIST *net_buffer_list_allocate(HANDLE pool);
void net_buffer_list_free(NET_BUFFER_LIST *list);

void *NTAPI NdisGetDataBuffer(NET_BUFFER *buffer, ULONG bytes, void *storage, ULONG align_multiple, ULONG align_offset);
void NTAPI NdisAdvanceNetBufferDataStart(NET_BUFFER *buffer, ULONG delta, BOOLEAN free_mdl, void *free_handler);
NTSTATUS NTAPI NdisRetreatNetBufferDataStart(NET_BUFFER *buffer, ULONG delta, ULONG back_fill, void *alloc_handler);

#endif
