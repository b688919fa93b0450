/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the event's addresses are in the form that programs see, those of the wire in
 * that which the driver is given: IPv4 in one word alone. Which handles get the event is for the driver
 * to decide, so all are told. Operations wait for its answer only while there is a handle that may prevent
 * something, or when one may be about to open: from its opening on nothing must get by it.
 */
#include "ale.h"

#include <string.h>

#include "handles.h"
#include "link.h"
#include "netif.h"
#include "outbound.h"

enum { QUESTIONS_MAX = 256 };

static uint64_t questions[QUESTIONS_MAX]; /* asked and not answered; 0: free */
static bool may_open;

/* Loopback is every connection between two addresses of this host. */
static bool is_loopback(const struct sock_event *event)
{
    static const uint32_t unspecified[4];

    return netif_is_loopback(event->local_addr) ||
           (memcmp(event->remote_addr, unspecified, sizeof(unspecified)) != 0 && netif_is_local(event->remote_addr));
}

static void fill_address(uint32_t to[4], const uint32_t from[4], bool ipv6)
{
    memset(to, 0, 4 * sizeof(to[0]));
    memcpy(to, from, (ipv6 ? 4 : 1) * sizeof(to[0]));
}

static void fill(struct lab_ale *ale, const struct sock_event *event)
{
    *ale = (struct lab_ale){
        .head = {LAB_ALE, sizeof(*ale)},
        .event = event->event,
        .flags = (event->outbound ? LAB_OUTBOUND : 0u) | (event->ipv6 ? LAB_IPV6 : 0u) |
                 (is_loopback(event) ? LAB_LOOPBACK : 0u) | (event->ask ? LAB_ASK : 0u),
        .protocol = event->protocol,
        .pid = event->pid,
        .local_port = event->local_port,
        .remote_port = event->remote_port,
        .closes_port = event->closes_port,
        .endpoint = event->endpoint,
        .parent_endpoint = event->parent_endpoint,
        .flow = event->flow,
        .ticks = event->ticks,
        .ask = event->ask,
    };
    fill_address(ale->local_addr, event->local_addr, event->ipv6);
    fill_address(ale->remote_addr, event->remote_addr, event->ipv6);
}

static bool remember(uint64_t ask)
{
    for (int i = 0; i < QUESTIONS_MAX; i++) {
        if (!questions[i]) {
            questions[i] = ask;
            return true;
        }
    }
    return false;
}

void ale_tell(void *context, const struct sock_event *event)
{
    struct lab_ale ale;

    (void)context;
    if (event->ask && event->event == WD_SOCKET_CONNECT && !is_loopback(event) && outbound_prevents(event->pid)) {
        events_answer(event->ask, true); /* the firewall comes first: the driver sees nothing of it */
        return;
    }
    if (!link_connected() || (event->ask && !remember(event->ask))) {
        if (event->ask) {
            events_answer(event->ask, false);
        }
        return;
    }
    fill(&ale, event);
    link_put(&ale, NULL, 0);
}

void ale_answered(uint64_t ask, bool prevented)
{
    for (int i = 0; ask && i < QUESTIONS_MAX; i++) {
        if (questions[i] == ask) {
            questions[i] = 0;
            events_answer(ask, prevented);
        }
    }
}

void ale_unanswered(void)
{
    for (int i = 0; i < QUESTIONS_MAX; i++) {
        ale_answered(questions[i], false);
    }
}

void ale_opening(void)
{
    may_open = true;
    events_set_asking(true);
}

void ale_handles_changed(bool socket_opened)
{
    if (socket_opened) {
        may_open = false;
    }
    events_set_asking(may_open || handles_prevent() || outbound_blocks());
}
