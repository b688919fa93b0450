/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a table of the operations that wait. The answer is written into the map of the eBPF
 * programs before the process is continued, which then makes its system call again and finds it. Numbers of
 * questions are never used again, so that a late answer means nothing. Each waits for a bounded time: a lab
 * whose driver is gone must not hang.
 */
#define _GNU_SOURCE
#include "veto.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loop.h"

enum { WAITING_MAX = 256, PATIENCE_MS = 5000 };

struct waiting {
    uint64_t ask; /* 0: free */
    uint64_t asker;
    int64_t due_ms;
    struct sockev_question question;
    struct sock_event event;
};

static struct waiting table[WAITING_MAX];
static uint64_t last_ask;
static int map = -1;

static struct waiting *find(uint64_t ask)
{
    for (int i = 0; ask && i < WAITING_MAX; i++) {
        if (table[i].ask == ask) {
            return &table[i];
        }
    }
    return NULL;
}

static struct waiting *free_entry(void)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        if (!table[i].ask) {
            return &table[i];
        }
    }
    return NULL;
}

static void go_on(uint64_t asker, struct sockev_question question, bool prevented)
{
    uint32_t thread = (uint32_t)asker;

    question.answer = prevented ? SOCKEV_PREVENTED : SOCKEV_ALLOWED;
    bpf_map_update_elem(map, &thread, &question, BPF_ANY);
    kill((pid_t)(asker >> 32), SIGCONT);
}

void veto_open(int questions_map)
{
    map = questions_map;
}

void veto_close(void)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        if (table[i].ask) {
            veto_end(table[i].ask, false);
        }
    }
    map = -1;
}

uint64_t veto_begin(const struct sockev_record *record, struct sock_event *event)
{
    struct sockev_question question = {.cookie = record->cookie, .kind = record->kind, .port = record->local_port};
    struct waiting *waiting = free_entry();

    event->ask = 0;
    if (!waiting) {
        go_on(record->asker, question, false);
        return 0;
    }
    event->ask = ++last_ask;
    waiting->ask = event->ask;
    waiting->asker = record->asker;
    waiting->due_ms = loop_now_ms() + PATIENCE_MS;
    waiting->question = question;
    waiting->event = *event;
    return event->ask;
}

const struct sock_event *veto_event(uint64_t ask)
{
    struct waiting *waiting = find(ask);

    return waiting ? &waiting->event : NULL;
}

void veto_end(uint64_t ask, bool prevented)
{
    struct waiting *waiting = find(ask);

    if (!waiting) {
        return;
    }
    waiting->ask = 0;
    go_on(waiting->asker, waiting->question, prevented);
}

static const struct waiting *oldest(void)
{
    const struct waiting *first = NULL;

    for (int i = 0; i < WAITING_MAX; i++) {
        if (table[i].ask && (!first || table[i].ask < first->ask)) {
            first = &table[i];
        }
    }
    return first;
}

uint64_t veto_overdue(void)
{
    const struct waiting *first = oldest();

    return first && first->due_ms <= loop_now_ms() ? first->ask : 0;
}

int64_t veto_due(void)
{
    const struct waiting *first = oldest();

    return first ? first->due_ms : 0;
}

void veto_local_address(struct sock_event *event)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(event->remote_port)};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = a6.sin6_port};
    socklen_t size = event->ipv6 ? sizeof a6 : sizeof a4;
    struct sockaddr *address = event->ipv6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
    int s;

    if (event->local_addr[0] || event->local_addr[1] || event->local_addr[2] || event->local_addr[3]) {
        return;
    }
    a4.sin_addr.s_addr = htonl(event->remote_addr[0]);
    for (int i = 0; i < 4; i++) {
        a6.sin6_addr.s6_addr32[i] = htonl(event->remote_addr[3 - i]);
    }
    s = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* to connect it sends nothing */
    if (s < 0) {
        return;
    }
    if (!connect(s, address, size) && !getsockname(s, address, &size)) {
        if (event->ipv6) {
            for (int i = 0; i < 4; i++) {
                event->local_addr[i] = ntohl(a6.sin6_addr.s6_addr32[3 - i]);
            }
        } else {
            event->local_addr[0] = ntohl(a4.sin_addr.s_addr);
            event->local_addr[1] = 0xffff;
        }
    }
    close(s);
}
