// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: an event names the process that opened the handle, its settings and the time of
// its opening, with the filter as text for data. What was open before is told once, when a REFLECT
// handle opens, and can be told from what opens later by that time only. REFLECT handles are
// themselves never told of.
#include "reflect.h"

#include "classify.h"
#include "loop.h"
#include "serial.h"

static void tell(struct handle *listener, const struct handle *of, enum wd_event event)
{
    static char text[SERIAL_MAX];
    struct wd_address address = {
        .timestamp = loop_ticks(),
        .layer = WD_REFLECT,
        .event = event,
        .sniffed = 1,
        .reflect =
            {
                .timestamp = of->opened_ticks,
                .pid = of->owner,
                .layer = of->layer,
                .flags = of->flags,
                .priority = (int16_t)handle_user_priority(of),
            },
    };

    if (!handle_watches(listener, WD_REFLECT) || !filter_match(&listener->filter, &address, NULL))
        return;
    counters_add(&listener->counters, COUNT_events, 1);
    classify_enqueue(listener, &(struct queue_item){&address, text, (uint32_t)serial_write(&of->filter, text), 0});
}

static void tell_all(const struct handle *of, enum wd_event event)
{
    if (of->layer == WD_REFLECT)
        return;
    for (struct handle *listener = handle_first(); listener; listener = listener->next)
        tell(listener, of, event);
}

void reflect_opened(struct handle *opened)
{
    tell_all(opened, WD_REFLECT_OPEN);
    if (opened->layer != WD_REFLECT)
        return;
    for (const struct handle *other = handle_first(); other; other = other->next) {
        if (other->open && !other->dead && other->layer != WD_REFLECT)
            tell(opened, other, WD_REFLECT_OPEN);
    }
}

void reflect_closed(struct handle *closed)
{
    tell_all(closed, WD_REFLECT_CLOSE);
}
