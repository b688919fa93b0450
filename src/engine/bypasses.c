/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every CHECK_MS each counter is compared with what it was. A limit that was reached is told of at
 * once. What may be a stranger's, or a mishap, is told of when it lasts: when a counter has gone up in checks in a row.
 */
#include "bypasses.h"

enum { CHECK_MS = 5000, WARN_MS = 60000, LASTING_CHECKS = 2 };

static uint64_t counted(const struct engine *e, enum bypass way)
{
    const _Atomic uint64_t *counters[] = {
        [BYPASS_OWNER_UNKNOWN] = &e->counters.hold_timeouts,
        [BYPASS_PROCESS_UNKNOWN] = &e->counters.processes_unknown,
        [BYPASS_TABLE_LATE] = &e->counters.table_timeouts,
        [BYPASS_HELD_FULL] = &e->counters.hold_overflows,
        [BYPASS_FLOWS_FULL] = &e->counters.flow_table_full,
        [BYPASS_LISTENERS_FULL] = &e->counters.listener_overflows,
        [BYPASS_UDP_OWNER_UNKNOWN] = &e->counters.udp_hold_timeouts,
        [BYPASS_UDP_FRAGMENTS] = &e->counters.udp_fragments_passed,
        [BYPASS_UDP_UNCAPTURED] = &e->counters.udp_uncaptured,
        [BYPASS_UDP_HELD_FULL] = &e->counters.udp_hold_overflows,
        [BYPASS_UDP_FLOWS_FULL] = &e->counters.udp_table_full,
    };
    return atomic_load_explicit(counters[way], memory_order_relaxed);
}

static void check(struct engine *e, enum bypass way, uint64_t now_ms)
{
    struct bypass_watch *b = &e->bypasses[way];
    uint64_t count = counted(e, way);
    b->checks = count > b->seen ? b->checks + 1 : 0;
    b->seen = count;
    if (b->checks >= (way >= BYPASS_LIMITS ? 1 : LASTING_CHECKS) && (!b->told_ms || now_ms - b->told_ms >= WARN_MS)) {
        if (e->host.bypassed) {
            e->host.bypassed(e->host.context, way, count - b->told);
        }
        b->told = count;
        b->told_ms = now_ms;
    }
}

void bypasses_tick(struct engine *e, uint64_t now_ms)
{
    if (now_ms - e->bypasses_checked_ms < CHECK_MS) {
        return;
    }
    e->bypasses_checked_ms = now_ms;
    for (int way = 0; way < BYPASSES; way++) {
        check(e, (enum bypass)way, now_ms);
    }
}
