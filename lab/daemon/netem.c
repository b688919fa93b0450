/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what netem does, for kernels without it. The other host's packets, those it
 * gets (PREROUTING) and those it sends (POSTROUTING), go through a packet queue in *its* namespace,
 * opened by a daemon that goes there for a moment. So the whole of WinDivert's machinery is at one end
 * of the wire and knows nothing of it, and other protocols than TCP are affected alike. The rules
 * are there only while there is something to do (see lib/network.sh).
 *
 * A packet is first lost or not, then waits its delay in a line, then it is let go, or lags: until
 * OVERTAKERS later ones of its direction have been let go, or LAG_MS have passed. Chance comes from a
 * generator that starts at the same point after each "clear".
 */
#define _GNU_SOURCE
#include "netem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "counters.h"
#include "loop.h"
#include "timer.h"

enum {
    MESSAGE_MAX = 4096,
    QUEUE_MAX = 65536,
    RECEIVE_BUFFER = 64 << 20,
    PER_ROUND = 64,
    DELAY_MAX = 10000,
    OVERTAKERS = 3,
    LAG_MS = 10,
};

#define SEED 0x9e3779b97f4a7c15ull

struct held {
    struct held *next;
    uint32_t id; /* of the packet, in the queue */
    bool lags;
    unsigned overtakers; /* still to come */
    int64_t due_ms;
};

struct line {
    struct held *first, **end;
};

struct direction {
    struct line delayed, lagging; /* both in order of due_ms */
};

static struct {
    double loss, reorder; /* percent */
    unsigned delay_ms;
} settings;

static struct direction directions[2];
static struct nfq_handle *netlink;
static struct nfq_q_handle *queue;
static int timer = -1;
static uint64_t chance = SEED;

static void line_append(struct line *line, struct held *held)
{
    held->next = NULL;
    *line->end = held;
    line->end = &held->next;
}

/* Takes the one at *at out of the line. */
static struct held *line_take(struct line *line, struct held **at)
{
    struct held *held = *at;

    *at = held->next;
    if (!*at) {
        line->end = at;
    }
    return held;
}

/* True with the probability given. */
static bool happens(double percent)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (double)(chance >> 11) * 0x1p-53 * 100 < percent;
}

static void accept_packet(uint32_t id)
{
    nfq_set_verdict(queue, id, NF_ACCEPT, 0, NULL);
}

/* Lets a packet go, and after it those that had only to be overtaken by it. */
static void let_go(struct direction *direction, uint32_t id)
{
    struct held **at = &direction->lagging.first;

    accept_packet(id);
    while (*at) {
        if (--(*at)->overtakers > 0) {
            at = &(*at)->next;
        } else {
            struct held *held = line_take(&direction->lagging, at);

            accept_packet(held->id);
            free(held);
        }
    }
}

static struct held *hold(uint32_t id, bool lags, int64_t due_ms)
{
    struct held *held = malloc(sizeof(*held));

    if (!held) {
        fprintf(stderr, "windivert-labd: no memory to hold a packet\n");
        exit(1);
    }
    *held = (struct held){.id = id, .lags = lags, .overtakers = OVERTAKERS, .due_ms = due_ms};
    return held;
}

static void service(struct direction *direction, int64_t now)
{
    struct line *delayed = &direction->delayed, *lagging = &direction->lagging;

    while (lagging->first && lagging->first->due_ms <= now) {
        struct held *held = line_take(lagging, &lagging->first);

        accept_packet(held->id);
        free(held);
    }
    while (delayed->first && delayed->first->due_ms <= now) {
        struct held *held = line_take(delayed, &delayed->first);

        if (held->lags) {
            held->due_ms = now + LAG_MS;
            line_append(lagging, held);
        } else {
            let_go(direction, held->id);
            free(held);
        }
    }
}

static void arrive(struct direction *direction, uint32_t id, int64_t now)
{
    bool lags;

    if (happens(settings.loss)) {
        counters_add(NULL, COUNT_wire_lost, 1);
        nfq_set_verdict(queue, id, NF_DROP, 0, NULL);
        return;
    }
    lags = happens(settings.reorder);
    if (lags) {
        counters_add(NULL, COUNT_wire_reordered, 1);
    }
    if (settings.delay_ms) {
        counters_add(NULL, COUNT_wire_delayed, 1);
        line_append(&direction->delayed, hold(id, lags, now + settings.delay_ms));
    } else if (direction->delayed.first) { /* the delay was taken back: nobody jumps the queue */
        line_append(&direction->delayed, hold(id, lags, now));
    } else if (lags) {
        line_append(&direction->lagging, hold(id, true, now + LAG_MS));
    } else {
        let_go(direction, id);
    }
}

static void set_timer(void)
{
    int64_t due = INT64_MAX;

    for (int i = 0; i < 2; i++) {
        const struct held *lines[] = {directions[i].delayed.first, directions[i].lagging.first};

        for (int k = 0; k < 2; k++) {
            if (lines[k] && lines[k]->due_ms < due) {
                due = lines[k]->due_ms;
            }
        }
    }
    if (due == INT64_MAX) {
        timer_cancel(timer);
    } else {
        timer_set(timer, due);
    }
}

static void timer_due(void *context, int fd)
{
    int64_t now = loop_now_ms();

    (void)context;
    timer_acknowledge(fd);
    service(&directions[0], now);
    service(&directions[1], now);
    set_timer();
}

static int packet_queued(struct nfq_q_handle *from, struct nfgenmsg *message, struct nfq_data *data, void *context)
{
    const struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);

    (void)from;
    (void)message;
    (void)context;
    arrive(&directions[header->hook == NF_INET_PRE_ROUTING], ntohl(header->packet_id), loop_now_ms());
    return 0;
}

static void queue_readable(void *context, int fd)
{
    static char message[MESSAGE_MAX] __attribute__((aligned(8)));

    (void)context;
    for (int i = 0; i < PER_ROUND; i++) {
        ssize_t length = recv(fd, message, sizeof(message), MSG_DONTWAIT);

        if (length < 0) {
            break;
        }
        nfq_handle_packet(netlink, message, (int)length);
    }
    set_timer();
}

static void fail(const char *what)
{
    fprintf(stderr, "windivert-labd: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A netlink socket belongs for good to the namespace it was made in. */
static void open_queue_at(const char *far_end)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int there = open(far_end, O_RDONLY | O_CLOEXEC);

    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) {
        fail(far_end);
    }
    netlink = nfq_open();
    if (setns(home, CLONE_NEWNET) < 0) {
        fail("cannot come back from the other host");
    }
    close(home);
    close(there);
    if (!netlink) {
        fail("cannot open the other host's packet queue");
    }
}

void netem_open(const char *far_end)
{
    int size = RECEIVE_BUFFER, one = 1, fd;

    for (int i = 0; i < 2; i++) {
        directions[i].delayed.end = &directions[i].delayed.first;
        directions[i].lagging.end = &directions[i].lagging.first;
    }
    if (!far_end) {
        return;
    }
    open_queue_at(far_end);
    queue = nfq_create_queue(netlink, 0, packet_queued, NULL);
    if (!queue || nfq_set_mode(queue, NFQNL_COPY_META, 0) < 0) {
        fail("cannot bind the other host's packet queue");
    }
    nfq_set_queue_maxlen(queue, QUEUE_MAX);
    fd = nfq_fd(netlink);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
    loop_add(fd, queue_readable, NULL);
    timer = timer_open(timer_due, NULL);
}

static void clear(void)
{
    memset(&settings, 0, sizeof(settings));
    chance = SEED;
    for (int i = 0; i < 2; i++) {
        service(&directions[i], INT64_MAX - LAG_MS); /* all that is delayed; what lags, then */
        service(&directions[i], INT64_MAX);
    }
    timer_cancel(timer);
}

void netem_close(void)
{
    if (!netlink) {
        return;
    }
    clear();
    loop_remove(nfq_fd(netlink));
    nfq_destroy_queue(queue);
    nfq_close(netlink);
    timer_close(timer);
}

bool netem_command(const char *words)
{
    char name[8], rest;
    double number = 0;
    int count = sscanf(words, "%7s %lf %c", name, &number, &rest);

    if (!netlink) {
        return false;
    }
    if (count == 1 && !strcmp(name, "clear")) {
        clear();
        return true;
    }
    if (count != 2 || !isfinite(number) || number < 0) {
        return false;
    }
    if (!strcmp(name, "loss") && number <= 100) {
        settings.loss = number;
    } else if (!strcmp(name, "reorder") && number <= 100) {
        settings.reorder = number;
    } else if (!strcmp(name, "delay") && number <= DELAY_MAX) {
        settings.delay_ms = (unsigned)number;
    } else {
        return false;
    }
    return true;
}

void netem_print(FILE *out)
{
    fprintf(out, "{\"loss\":%g,\"reorder\":%g,\"delay_ms\":%u}", settings.loss, settings.reorder, settings.delay_ms);
}
