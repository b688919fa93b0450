/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file queue_delay.h
 * How long packets waited in the driver's queue, by its time stamps (S6). One writer, the engine's thread; any reader.
 */
#ifndef QUEUE_DELAY_H
#define QUEUE_DELAY_H

#include "windows/divert.h"

#include <stdatomic.h>

/** Zeroed at the start. All but `packets` are in the unit of the time stamps. */
struct queue_delay {
    _Atomic uint64_t last, max, sum, packets;
};

/** Adds a batch that was taken at `now`. A time stamp after `now` counts as no delay. */
void queue_delay_note(struct queue_delay *d, const struct divert_batch *batch, int64_t now);

struct queue_delay_us {
    uint64_t last, max, mean;
};

/** In microseconds. `frequency`: time stamps per second. */
struct queue_delay_us queue_delay_read(const struct queue_delay *d, uint64_t frequency);

#endif
