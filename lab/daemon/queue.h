// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The packet queue of a handle. Pure: time is handed in, and nothing waits.
#ifndef LAB_QUEUE_H
#define LAB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

enum {
    QUEUE_LENGTH_DEFAULT = 4096,
    QUEUE_TIME_DEFAULT = 2000,    // ms
    QUEUE_SIZE_DEFAULT = 4194304, // bytes
    QUEUE_ENTRY_OVERHEAD = 64,    // what the driver's own header adds to a packet's size
};

struct queue_entry {
    struct queue_entry *next;
    int64_t queued_ms;
    uint64_t order; // of capture, see audit.h
    struct wd_address address;
    uint32_t length;
    uint8_t data[];
};

struct queue {
    struct queue_entry *first, **end;
    uint32_t count;
    uint64_t size;
    uint64_t max_count, max_ms, max_size;
};

void queue_init(struct queue *queue);

// Value out of the parameter's limits, or not a settable parameter: false.
bool queue_set_param(struct queue *queue, uint32_t param, uint64_t value);
bool queue_get_param(const struct queue *queue, uint32_t param, uint64_t *value);

struct queue_item {
    const struct wd_address *address;
    const void *data;
    uint32_t length;
    uint64_t order;
};

// Copies a packet to the end; the oldest ones make room. Returns how many were lost for it,
// which includes the new one if it can never fit.
unsigned queue_put(struct queue *queue, const struct queue_item *item, int64_t now_ms);

// Frees the oldest packets until at most `count` are left; returns how many.
unsigned queue_trim(struct queue *queue, uint32_t count);

// Frees expired packets at the front; returns how many.
unsigned queue_expire(struct queue *queue, int64_t now_ms);

// Takes the next packet of a batch if it may follow `taken` others into `room` bytes. The first
// one always may: the caller cuts it. Free it with free().
struct queue_entry *queue_take(struct queue *queue, unsigned taken, size_t room, int64_t now_ms);

#endif
