// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a list, oldest first. Too many packets or bytes push out the oldest. Age is
// looked at only when somebody looks at the queue; there is no timer, as in the driver.
#include "queue.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    uint64_t min, max;
} limits[] = {
    [WD_QUEUE_LENGTH] = {32, 16384},
    [WD_QUEUE_TIME] = {100, 16000},
    [WD_QUEUE_SIZE] = {65535, 33554432},
};

void queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof(*queue));
    queue->end = &queue->first;
    queue->max_count = QUEUE_LENGTH_DEFAULT;
    queue->max_ms = QUEUE_TIME_DEFAULT;
    queue->max_size = QUEUE_SIZE_DEFAULT;
}

bool queue_set_param(struct queue *queue, uint32_t param, uint64_t value)
{
    uint64_t *const settable[] = {
        [WD_QUEUE_LENGTH] = &queue->max_count,
        [WD_QUEUE_TIME] = &queue->max_ms,
        [WD_QUEUE_SIZE] = &queue->max_size,
    };

    if (param > WD_QUEUE_SIZE || value < limits[param].min || value > limits[param].max)
        return false;
    *settable[param] = value;
    return true;
}

bool queue_get_param(const struct queue *queue, uint32_t param, uint64_t *value)
{
    const uint64_t values[] = {
        [WD_QUEUE_LENGTH] = queue->max_count,
        [WD_QUEUE_TIME] = queue->max_ms,
        [WD_QUEUE_SIZE] = queue->max_size,
        [WD_VERSION_MAJOR] = 2,
        [WD_VERSION_MINOR] = 2,
    };

    if (param > WD_VERSION_MINOR)
        return false;
    *value = values[param];
    return true;
}

static uint64_t entry_size(uint32_t length)
{
    return (uint64_t)length + QUEUE_ENTRY_OVERHEAD;
}

static struct queue_entry *queue_unlink_first(struct queue *queue)
{
    struct queue_entry *entry = queue->first;

    queue->first = entry->next;
    if (!queue->first)
        queue->end = &queue->first;
    queue->count--;
    queue->size -= entry_size(entry->length);
    return entry;
}

unsigned queue_put(struct queue *queue, const struct queue_item *item, int64_t now_ms)
{
    struct queue_entry *entry;
    uint32_t length = item->length;
    unsigned lost = 0;

    if (entry_size(length) > queue->max_size)
        return 1;
    entry = malloc(sizeof(*entry) + length);
    if (!entry)
        return 1;
    while (queue->first &&
           (queue->count + 1 > queue->max_count || queue->size + entry_size(length) > queue->max_size)) {
        free(queue_unlink_first(queue));
        lost++;
    }
    entry->next = NULL;
    entry->queued_ms = now_ms;
    entry->order = item->order;
    entry->address = *item->address;
    entry->length = length;
    if (length)
        memcpy(entry->data, item->data, length);
    *queue->end = entry;
    queue->end = &entry->next;
    queue->count++;
    queue->size += entry_size(length);
    return lost;
}

unsigned queue_trim(struct queue *queue, uint32_t count)
{
    unsigned lost = 0;

    for (; queue->count > count; lost++)
        free(queue_unlink_first(queue));
    return lost;
}

static bool expired(const struct queue *queue, const struct queue_entry *entry, int64_t now_ms)
{
    return now_ms - entry->queued_ms > (int64_t)queue->max_ms;
}

unsigned queue_expire(struct queue *queue, int64_t now_ms)
{
    unsigned lost = 0;

    for (; queue->first && expired(queue, queue->first, now_ms); lost++)
        free(queue_unlink_first(queue));
    return lost;
}

struct queue_entry *queue_take(struct queue *queue, unsigned taken, size_t room, int64_t now_ms)
{
    struct queue_entry *first = queue->first;

    if (!first || (taken > 0 && (first->length > room || expired(queue, first, now_ms))))
        return NULL;
    return queue_unlink_first(queue);
}
