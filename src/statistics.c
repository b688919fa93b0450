/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each counter has one writer, or is added to atomically, and is read here as it stands; counters
 * of one reading can therefore be a packet apart. The lists of the counters, ENGINE_COUNTERS and SERVICE_COUNTERS, have
 * the names of the public structure.
 */
#include "statistics.h"

#include "firewall.h"
#include "service_internal.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void fill_queue_delay(const redirector *r, redirector_stats *out)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    struct queue_delay_us us = queue_delay_read(&r->queue_delay, (uint64_t)frequency.QuadPart);
    out->queue_delay_last_us = us.last;
    out->queue_delay_max_us = us.max;
    out->queue_delay_mean_us = us.mean;
}

void statistics_counters(redirector *r, redirector_stats *out)
{
    const struct engine_counters *engine = engine_counters(r->engine);
    out->flows_live = atomic_load_explicit(&engine->flows_live, memory_order_relaxed);
#define FILL(name) out->name = load(&engine->name);
    ENGINE_COUNTERS(FILL)
#undef FILL
#define FILL(name) out->name = load(&r->name);
    SERVICE_COUNTERS(FILL)
#undef FILL
    fill_queue_delay(r, out);
}

void statistics_read(redirector *r, redirector_stats *out)
{
    statistics_counters(r, out);
    AcquireSRWLockShared(&r->stop_lock);
    out->log_lines_dropped = r->log ? log_lines_dropped(r->log) : r->log_lines_dropped;
    out->firewall_permit = firewall_permit_holds(r);
    ReleaseSRWLockShared(&r->stop_lock);
}
