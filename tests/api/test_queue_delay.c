/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* S6: the queue delay from the driver's time stamps. Native; built by tests/api/run. */
#include "queue_delay.h"

#include <stdio.h>

enum { TICKS_PER_SECOND = 10000000 };

static int failed;

static void check(bool condition, const char *name)
{
    printf("%s %s\n", condition ? "ok" : "FAIL", name);
    failed += !condition;
}

static void note(struct queue_delay *d, int64_t now, uint32_t count, const int64_t *stamps)
{
    static struct divert_address addresses[4];
    for (uint32_t i = 0; i < count; i++) {
        addresses[i].timestamp = stamps[i];
    }
    struct divert_batch batch = {.addresses = addresses, .count = count};
    queue_delay_note(d, &batch, now);
}

static bool is(const struct queue_delay *d, uint64_t last, uint64_t max, uint64_t mean)
{
    struct queue_delay_us us = queue_delay_read(d, TICKS_PER_SECOND);
    return us.last == last && us.max == max && us.mean == mean;
}

int main(void)
{
    static struct queue_delay d, years;
    check(is(&d, 0, 0, 0), "delay: none before the first packet");
    note(&d, 1000, 3, (const int64_t[]){970, 980, 990});
    check(is(&d, 3, 3, 2), "delay: the oldest of the batch, the longest, the mean");
    note(&d, 2000, 1, (const int64_t[]){1990});
    check(is(&d, 1, 3, 1), "delay: the last batch alone, the longest and the mean of all");
    note(&d, 3000, 1, (const int64_t[]){3500});
    check(is(&d, 0, 3, 1), "delay: a time stamp that lies ahead is no delay");
    note(&years, INT64_MAX, 1, (const int64_t[]){0});
    check(queue_delay_read(&years, TICKS_PER_SECOND).max == (uint64_t)INT64_MAX / 10, "delay: no overflow");
    return failed != 0;
}
