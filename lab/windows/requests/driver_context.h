/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What is known of the inside of WinDivert64.sys 2.2.2 (see kmdf/wdfldr.c for how it is recognised).
 *
 * Everything but this goes through Windows' interfaces. Three things cannot: how long the queues of an open
 * handle are (LAB_STATE), a limit below what WinDivertSetParam allows (fault "queue"), and that a packet was
 * lost to that limit. They are read from, and one is written to, the context that the driver keeps for each
 * file. Its layout was read from the machine code; addresses are those of the image at 0x140000000:
 *
 *   140005071  the context's size, 0x320, which its type information repeats
 *   140005095  create: 0x88 = 2000 ms as counts of the clock, 0x90 = 2000
 *   1400050ab  create: 0x60 and 0x68 = 0, the lengths of work and packet queue
 *   1400050b3  create: 0x70 = 4096, the packet queue's maximum length; 0x80 = 4194304, its maximum size
 *   140005147  create: 0x08 = 0, the spin lock; 0x98, 0xa0: the read queue, the work item
 *   1400050f0  create: 0xc8 = 0, the priority (32 bits), which ioctl INITIALIZE makes
 *   140008c5f  ioctl: 0x00 is the state, 0xb1 is "open"; 140008c89, c93: 0xbc, 0xc0, shut down
 *   140008d78  ioctl SET_PARAM: 0x70 = the length; 140008a43: GET_PARAM reads it
 *   140009654  queue a packet: 0x68 + 1 is compared with 0x70; 140009644: 0x78 is the size in bytes
 *   1400096e2  queue a packet, after the oldest has been thrown away for a new one: the lock is taken again.
 *              So each time this call takes the lock, one packet has been lost to a full queue.
 */
#ifndef LAB_WINDOWS_DRIVER_CONTEXT_H
#define LAB_WINDOWS_DRIVER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DRIVER_SIZE_OF_IMAGE = 0x1c000,
    DRIVER_CHECKSUM = 0x1d693,
    DRIVER_LOSES_PACKET = 0x96e2,    /* call *KeAcquireInStackQueuedSpinLock */
    DRIVER_ACQUIRE_ADDRESS = 0xd1d0, /* of that import */
    DRIVER_CONTEXT_OPEN = 0xb1,
};

struct driver_context {
    uint32_t state;
    uint64_t lock;
    uint8_t unused1[0x50];
    uint64_t work_queue_length;
    uint64_t packet_queue_length;
    uint64_t packet_queue_max_length;
    uint64_t packet_queue_size;
    uint64_t packet_queue_max_size;
    uint64_t packet_queue_max_counts;
    uint64_t packet_queue_max_time;
    void *read_queue;
    void *worker;
    uint32_t layer;
    uint64_t flags;
    uint32_t initialized, shut_recv, shut_send, shut_recv_enabled;
    uint32_t priority;
    uint8_t unused2[0x254];
};

_Static_assert(sizeof(struct driver_context) == 0x320, "as its type information says");
_Static_assert(offsetof(struct driver_context, lock) == 0x08, "see above");
_Static_assert(offsetof(struct driver_context, work_queue_length) == 0x60, "see above");
_Static_assert(offsetof(struct driver_context, packet_queue_max_length) == 0x70, "see above");
_Static_assert(offsetof(struct driver_context, packet_queue_max_time) == 0x90, "see above");
_Static_assert(offsetof(struct driver_context, layer) == 0xa8, "see above");
_Static_assert(offsetof(struct driver_context, flags) == 0xb0, "see above");
_Static_assert(offsetof(struct driver_context, shut_send) == 0xc0, "see above");
_Static_assert(offsetof(struct driver_context, priority) == 0xc8, "see above");

/* The driver's image; NULL: it is being unloaded. */
void driver_context_bind(const uint8_t *image);

/* The context of a file; NULL: the driver has none of this size. */
struct wdf_file;
struct driver_context *driver_context_of(struct wdf_file *file);

#endif
