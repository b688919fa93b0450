// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a list of copies in order of arrival and one timer for the earliest due time.
// The driver has been told "pending"; when its time comes, a request is served and its answer sent as
// the final one, unless serving it made it pend for reasons of its own.
#include "park.h"

#include <stdlib.h>

#include "abi.h"
#include "loop.h"
#include "timer.h"

struct parked {
    struct parked *next;
    struct link *link;
    struct lab_request request;
    int64_t due_ms;
};

static struct parked *first, **end = &first;
static int timer = -1;
static link_request_fn *serve;

static struct parked *take(struct parked **at)
{
    struct parked *parked = *at;

    *at = parked->next;
    if (!*at)
        end = at;
    return parked;
}

static void set_timer(void)
{
    int64_t due = PARK_FOR_EVER;

    for (const struct parked *parked = first; parked; parked = parked->next) {
        if (parked->due_ms < due)
            due = parked->due_ms;
    }
    if (due == PARK_FOR_EVER)
        timer_cancel(timer);
    else
        timer_set(timer, due);
}

// Serving may park anew, at the end of the list; that one is not due.
static void serve_due(int64_t now)
{
    struct parked **at = &first;

    while (*at) {
        struct lab_reply reply = {0};
        struct parked *parked;

        if ((*at)->due_ms > now) {
            at = &(*at)->next;
            continue;
        }
        parked = take(at);
        serve(parked->link, &parked->request, &reply);
        if (reply.status != ST_PENDING)
            link_complete(parked->link, parked->request.id, reply.status, reply.information);
        free(parked);
    }
    set_timer();
}

static void timer_due(void *context, int fd)
{
    (void)context;
    timer_acknowledge(fd);
    serve_due(loop_now_ms());
}

void park_open(link_request_fn *fn)
{
    serve = fn;
    timer = timer_open(timer_due, NULL);
}

void park_close(void)
{
    while (first)
        free(take(&first));
    timer_close(timer);
}

bool park_add(struct link *link, const struct lab_request *request, int64_t due_ms)
{
    struct parked *parked = malloc(sizeof(*parked));

    if (!parked)
        return false;
    *parked = (struct parked){.link = link, .request = *request, .due_ms = due_ms};
    *end = parked;
    end = &parked->next;
    set_timer();
    return true;
}

static void cancel(struct parked **at)
{
    struct parked *parked = take(at);

    link_complete(parked->link, parked->request.id, ST_CANCELLED, 0);
    free(parked);
}

bool park_cancel(struct link *link, uint64_t id)
{
    for (struct parked **at = &first; *at; at = &(*at)->next) {
        if ((*at)->link == link && (*at)->request.id == id) {
            cancel(at);
            return true;
        }
    }
    return false;
}

void park_cancel_file(struct link *link, uint64_t file)
{
    for (struct parked **at = &first; *at;) {
        if ((*at)->link == link && (*at)->request.file == file)
            cancel(at);
        else
            at = &(*at)->next;
    }
}

void park_forget(struct link *link)
{
    for (struct parked **at = &first; *at;) {
        if ((*at)->link == link)
            free(take(at));
        else
            at = &(*at)->next;
    }
}

void park_release(bool (*still_waits)(struct link *link, const struct lab_request *request))
{
    for (struct parked *parked = first; parked; parked = parked->next) {
        if (parked->due_ms == PARK_FOR_EVER && !still_waits(parked->link, &parked->request))
            parked->due_ms = 0;
    }
    serve_due(0);
}
