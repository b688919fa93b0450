/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the driver stamps each packet when it queues it, with the clock of QueryPerformanceCounter. A
 * batch leaves the queue as a whole, so one reading of that clock serves all its packets, and their sum is written
 * once. Ticks are converted to microseconds only on reading.
 */
#include "queue_delay.h"

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(_Atomic uint64_t *number, uint64_t value) /* one writer: no locked instruction */
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

void queue_delay_note(struct queue_delay *d, const struct divert_batch *batch, int64_t now)
{
    uint64_t longest = 0, sum = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        int64_t stamp = batch->addresses[i].timestamp;
        uint64_t delay = now > stamp ? (uint64_t)now - (uint64_t)stamp : 0;
        longest = delay > longest ? delay : longest;
        sum += delay;
    }
    store(&d->last, longest);
    store(&d->max, longest > load(&d->max) ? longest : load(&d->max));
    store(&d->sum, load(&d->sum) + sum);
    store(&d->packets, load(&d->packets) + batch->count);
}

/* Without overflow for any number of ticks: a division by the frequency first, then the rest. */
static uint64_t microseconds(uint64_t ticks, uint64_t frequency)
{
    return ticks / frequency * 1000000 + ticks % frequency * 1000000 / frequency;
}

struct queue_delay_us queue_delay_read(const struct queue_delay *d, uint64_t frequency)
{
    uint64_t packets = load(&d->packets);
    return (struct queue_delay_us){
        .last = microseconds(load(&d->last), frequency),
        .max = microseconds(load(&d->max), frequency),
        .mean = packets ? microseconds(load(&d->sum) / packets, frequency) : 0,
    };
}
