/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the rules queue packets in mangle OUTPUT (what this host sends, loopback
 * included) and in mangle INPUT except on `lo`. So loopback is seen once, as outbound, as on
 * Windows; traffic between two addresses of this host goes through `lo` and is loopback, too.
 * What the daemon sends for the kernel side is final and not queued.
 *
 * There are two queues, one for TCP and one for all else. The second is opened when the first filter
 * comes that can match such packets, and stays: closing it would lose what is in it. A queue that
 * nobody has opened costs nothing, the kernel lets the packets by.
 *
 * A round of packets is received first, then what the kernel side has told, then the packets are told to
 * it in one message: so a packet that was sent after a handle had opened finds it open here. If no handle
 * can want a packet, it goes on at once. Else it is held until the kernel side has decided; while too
 * much is held, or waits to be told, no more packets are received, and Linux' queue keeps them.
 *
 * Without "merge" the queues are bound without the GSO option: Linux then cuts super-packets to the
 * path's MTU (up to 64 KB on `lo`) and completes checksums before it hands packets over. With it, they
 * come as they are, and where a sum is still to be computed Linux says so.
 */
#define _GNU_SOURCE
#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "audit.h"
#include "counters.h"
#include "events.h"
#include "handles.h"
#include "held.h"
#include "link.h"
#include "loop.h"
#include "netif.h"
#include "obstacle.h"

enum {
    MESSAGE_MAX = 68 << 10, /* of netlink: a packet and its description */
    QUEUE_MAX = 65536,
    RECEIVE_BUFFER = 64 << 20,
    COPY_MAX = 0xffff,
    LOOPBACK_MTU = 65528, /* the kernel copies at most 65531 bytes of a packet, `lo` has more */
    PER_ROUND = 64,       /* packets before other work gets a turn */
};

static struct source {
    uint16_t number;
    struct nfq_handle *netlink; /* NULL: not open */
    struct nfq_q_handle *queue;
} tcp, others;
static unsigned offload; /* sums */
static bool merge, paused;
static uint64_t lost_before;

void capture_set_offload(unsigned sums)
{
    offload = sums;
}

unsigned capture_offload(void)
{
    return offload;
}

static bool source_merge(struct source *source, bool on)
{
    return !source->netlink || nfq_set_queue_flags(source->queue, NFQA_CFG_F_GSO, on ? NFQA_CFG_F_GSO : 0) == 0;
}

bool capture_set_merge(bool on)
{
    if (!source_merge(&tcp, on) || !source_merge(&others, on)) {
        return false;
    }
    merge = on;
    return true;
}

bool capture_merge(void)
{
    return merge;
}

static void pause_while(bool on)
{
    paused = on;
    loop_pause(nfq_fd(tcp.netlink), on);
    if (others.netlink) {
        loop_pause(nfq_fd(others.netlink), on);
    }
}

void capture_resume(void)
{
    if (paused && !link_congested() && !held_enough()) {
        pause_while(false);
    }
}

/* Which sums the kernel side is told to be the card's, with the bytes that go with it. */
static uint32_t missing_sums(struct nfq_data *data, const struct packet *packet, bool outbound)
{
    unsigned sums = offload;
    uint8_t *bytes = (uint8_t *)packet->data; /* in our own buffer */

    if (nfq_get_skbinfo(data) & NFQA_SKB_CSUMNOTREADY) { /* only with "merge" */
        if (outbound) {
            sums |= packet->udp ? SUM_UDP : SUM_TCP;
        } else {
            packet_set_checksums(bytes, packet->length, SUM_TCP | SUM_UDP);
        }
    }
    if (offload && outbound) {
        packet_set_partial_checksums(bytes, packet->length, offload); /* of the copy; it passes intact */
    }
    return (sums & SUM_IP ? LAB_IP_SUM_MISSING : 0u) | (sums & SUM_TCP ? LAB_TCP_SUM_MISSING : 0u) |
           (sums & SUM_UDP ? LAB_UDP_SUM_MISSING : 0u);
}

static void describe(struct lab_packet *record, struct nfq_data *data, const struct packet *packet)
{
    bool outbound = nfq_get_msg_packet_hdr(data)->hook == NF_INET_LOCAL_OUT;

    *record = (struct lab_packet){
        .head = {LAB_PACKET, sizeof(*record)},
        .flags = (outbound ? LAB_OUTBOUND : 0u) | (packet->ipv6 ? LAB_IPV6 : 0u),
        .if_idx = outbound ? nfq_get_outdev(data) : nfq_get_indev(data),
    };
    if (outbound && record->if_idx == netif_loopback_index()) {
        record->flags |= LAB_LOOPBACK;
    }
}

/* True: the kernel side decides. */
static bool hold(struct nfq_q_handle *from, struct nfq_data *data, struct lab_packet *record,
                 const struct packet *packet)
{
    struct held *held;

    if (!link_connected() || !handles_want(record->flags)) {
        return false;
    }
    record->id = audit_order_new();
    record->mtu = netif_mtu(record->if_idx);
    record->flags |= missing_sums(data, packet, record->flags & LAB_OUTBOUND);
    held = held_add(record->id, packet->data, packet->length);
    if (!held) {
        return false;
    }
    held->queue = from;
    held->number = ntohl(nfq_get_msg_packet_hdr(data)->packet_id);
    link_put(record, packet->data, packet->length);
    return true;
}

static int packet_queued(struct nfq_q_handle *from, struct nfgenmsg *message, struct nfq_data *data, void *context)
{
    unsigned char *payload;
    int length = nfq_get_payload(data, &payload);
    struct lab_packet record;
    struct packet packet;

    (void)message;
    (void)context;
    if (length > 0 && packet_parse(&packet, payload, (size_t)length)) {
        counters_add_packet(NULL, COUNT_captured, &packet);
        describe(&record, data, &packet);
        if (!obstacle_hides(&packet) && hold(from, data, &record, &packet)) {
            return 0;
        }
        counters_add_packet(NULL, COUNT_passed, &packet);
    } else {
        counters_add(NULL, COUNT_malformed, 1);
    }
    return nfq_set_verdict(from, ntohl(nfq_get_msg_packet_hdr(data)->packet_id), NF_ACCEPT, 0, NULL);
}

static void held_decide(struct held *held, bool pass)
{
    struct packet packet;

    if (pass) {
        held_parse(held, &packet);
        counters_add_packet(NULL, COUNT_passed, &packet);
    }
    nfq_set_verdict(held->queue, held->number, pass ? NF_ACCEPT : NF_DROP, 0, NULL);
    held_remove(held);
}

void capture_verdict(uint64_t id, bool pass)
{
    struct held *held = held_find(id);

    if (held) {
        held_decide(held, pass);
    }
    capture_resume();
}

bool capture_packet(uint64_t id, struct packet *packet)
{
    const struct held *held = held_find(id);

    if (held) {
        held_parse(held, packet);
    }
    return held != NULL;
}

uint64_t capture_join(uint64_t key)
{
    struct held *held = held_find_key(key);

    if (!held) {
        return AUDIT_AGAIN;
    }
    held->joined = true;
    return held->id;
}

bool capture_was_joined(uint64_t id)
{
    const struct held *held = held_find(id);

    return held && held->joined;
}

void capture_release(void)
{
    while (held_first()) {
        held_decide(held_first(), true);
    }
    capture_resume();
}

static void queue_readable(void *context, int fd)
{
    static char messages[PER_ROUND][MESSAGE_MAX] __attribute__((aligned(8)));
    const struct source *source = context;
    struct mmsghdr headers[PER_ROUND] = {0};
    struct iovec parts[PER_ROUND];
    int count;

    for (int i = 0; i < PER_ROUND; i++) {
        parts[i] = (struct iovec){messages[i], MESSAGE_MAX};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    count = recvmmsg(fd, headers, PER_ROUND, MSG_DONTWAIT, NULL);
    if (count <= 0) {
        return;
    }
    link_drain();
    events_drain(); /* a CONNECT comes before its SYN */
    for (int i = 0; i < count; i++) {
        nfq_handle_packet(source->netlink, messages[i], (int)headers[i].msg_len);
    }
    link_flush();
    if (link_congested() || held_enough()) {
        pause_while(true);
    }
}

/*
 * Packets dropped in the kernel, from /proc: number, owner, waiting, mode, range, dropped for a
 * full queue, dropped for a full socket, ...
 */
static uint64_t lost_since_boot(void)
{
    FILE *file = fopen("/proc/self/net/netfilter/nfnetlink_queue", "r");
    unsigned long long full_queue, full_socket, lost = 0;
    unsigned found;

    if (!file) {
        return 0;
    }
    while (fscanf(file, "%u %*u %*u %*u %*u %llu %llu %*[^\n]", &found, &full_queue, &full_socket) == 3) {
        if (found == tcp.number || found == others.number) {
            lost += full_queue + full_socket;
        }
    }
    fclose(file);
    return lost;
}

uint64_t capture_lost(void)
{
    return lost_since_boot() - lost_before;
}

static void fail(const char *what)
{
    fprintf(stderr, "windivert-labd: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void source_open(struct source *source)
{
    int size = RECEIVE_BUFFER, one = 1, fd;

    source->netlink = nfq_open();
    if (!source->netlink) {
        fail("cannot open the packet queue");
    }
    source->queue = nfq_create_queue(source->netlink, source->number, packet_queued, NULL);
    if (!source->queue) {
        fail("cannot bind the packet queue (another program has it?)");
    }
    if (nfq_set_mode(source->queue, NFQNL_COPY_PACKET, COPY_MAX) < 0) {
        fail("cannot get packets copied from the packet queue");
    }
    nfq_set_queue_maxlen(source->queue, QUEUE_MAX);
    if (merge && !source_merge(source, true)) {
        fail("cannot have segments merged");
    }
    fd = nfq_fd(source->netlink);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
    loop_add(fd, queue_readable, source);
    loop_pause(fd, paused);
}

static void source_close(struct source *source)
{
    if (!source->netlink) {
        return;
    }
    loop_remove(nfq_fd(source->netlink));
    nfq_destroy_queue(source->queue);
    nfq_close(source->netlink);
}

void capture_open(uint16_t queue_number)
{
    if (!netif_set_loopback_mtu(LOOPBACK_MTU)) {
        fail("cannot set the MTU of lo");
    }
    tcp.number = queue_number;
    others.number = queue_number + 1;
    source_open(&tcp);
    lost_before = lost_since_boot();
}

void capture_others(void)
{
    if (!others.netlink) {
        source_open(&others);
    }
}

void capture_close(void)
{
    source_close(&tcp);
    source_close(&others);
}
