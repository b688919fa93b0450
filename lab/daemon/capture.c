// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: the rules queue packets in mangle OUTPUT (what this host sends, loopback
// included) and in mangle INPUT except on `lo`. So loopback is seen once, as outbound, as on
// Windows; traffic between two addresses of this host goes through `lo` and is loopback, too.
// Injected packets always leave through OUTPUT; their mark says what they were injected as.
//
// There are two queues, one for TCP and one for all else. The second is opened when the first filter
// comes that can match such packets, and stays: closing it would lose what is in it. A queue that
// nobody has opened costs nothing, the kernel lets the packets by.
//
// The queues are bound without the GSO option: the kernel then cuts super-packets to the path's
// MTU (up to 64 KB on `lo`) and completes checksums before it hands packets over.
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

#include "classify.h"
#include "counters.h"
#include "inject.h"
#include "loop.h"
#include "netif.h"

enum {
    MESSAGE_MAX = 128 << 10,
    QUEUE_MAX = 65536,
    RECEIVE_BUFFER = 64 << 20,
    COPY_MAX = 0xffff,
    LOOPBACK_MTU = 65528, // the kernel copies at most 65531 bytes of a packet, `lo` has more
    PER_ROUND = 64,       // packets before other work gets a turn
};

static struct source {
    uint16_t number;
    struct nfq_handle *netlink; // NULL: not open
    struct nfq_q_handle *queue;
} tcp, others;
static unsigned offload; // sums
static uint64_t lost_before;

void capture_set_offload(unsigned sums)
{
    offload = sums;
}

unsigned capture_offload(void)
{
    return offload;
}

static void describe(struct wd_address *address, struct nfq_data *data, const struct packet *packet, uint64_t *below)
{
    struct origin origin;

    *address = (struct wd_address){
        .timestamp = loop_ticks(),
        .layer = WD_NETWORK,
        .event = WD_NETWORK_PACKET,
        .outbound = nfq_get_msg_packet_hdr(data)->hook == NF_INET_LOCAL_OUT,
        .ipv6 = packet->ipv6 != NULL,
        .ip_checksum = !(offload & SUM_IP),
        .tcp_checksum = !(offload & SUM_TCP),
        .udp_checksum = !(offload & SUM_UDP),
    };
    *below = CLASSIFY_ALL;
    address->network.if_idx = address->outbound ? nfq_get_outdev(data) : nfq_get_indev(data);
    if (inject_origin(nfq_get_nfmark(data), &origin)) {
        *below = origin.priority;
        if (!origin.outbound) {
            address->outbound = 0;
            address->network.if_idx = origin.if_idx;
            address->network.sub_if_idx = origin.sub_if_idx;
        }
    }
    address->loopback = address->outbound && address->network.if_idx == netif_loopback_index();
}

static int packet_queued(struct nfq_q_handle *from, struct nfgenmsg *message, struct nfq_data *data, void *context)
{
    uint32_t id = ntohl(nfq_get_msg_packet_hdr(data)->packet_id);
    unsigned char *payload;
    int length = nfq_get_payload(data, &payload);
    struct wd_address address;
    struct packet packet;
    uint64_t below;
    bool pass = true;

    (void)message;
    (void)context;
    if (length > 0 && packet_parse(&packet, payload, (size_t)length)) {
        counters_add_packet(NULL, COUNT_captured, &packet);
        describe(&address, data, &packet, &below);
        if (offload && address.outbound)
            packet_set_partial_checksums(payload, (size_t)length, offload); // of the copy; it passes intact
        pass = classify_packet(&address, &packet, below);
    } else {
        counters_add(NULL, COUNT_malformed, 1);
    }
    return nfq_set_verdict(from, id, pass ? NF_ACCEPT : NF_DROP, 0, NULL);
}

static void queue_readable(void *context, int fd)
{
    static char message[MESSAGE_MAX] __attribute__((aligned(8)));
    const struct source *source = context;

    for (int i = 0; i < PER_ROUND; i++) {
        ssize_t length = recv(fd, message, sizeof(message), MSG_DONTWAIT);

        if (length < 0)
            return;
        events_drain(); // a CONNECT comes before its SYN
        nfq_handle_packet(source->netlink, message, (int)length);
    }
}

// Packets dropped in the kernel, from /proc: number, owner, waiting, mode, range, dropped for a
// full queue, dropped for a full socket, ...
static uint64_t lost_since_boot(void)
{
    FILE *file = fopen("/proc/self/net/netfilter/nfnetlink_queue", "r");
    unsigned long long full_queue, full_socket, lost = 0;
    unsigned found;

    if (!file)
        return 0;
    while (fscanf(file, "%u %*u %*u %*u %*u %llu %llu %*[^\n]", &found, &full_queue, &full_socket) == 3) {
        if (found == tcp.number || found == others.number)
            lost += full_queue + full_socket;
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
    if (!source->netlink)
        fail("cannot open the packet queue");
    source->queue = nfq_create_queue(source->netlink, source->number, packet_queued, NULL);
    if (!source->queue)
        fail("cannot bind the packet queue (another program has it?)");
    if (nfq_set_mode(source->queue, NFQNL_COPY_PACKET, COPY_MAX) < 0)
        fail("cannot get packets copied from the packet queue");
    nfq_set_queue_maxlen(source->queue, QUEUE_MAX);
    fd = nfq_fd(source->netlink);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
    loop_add(fd, queue_readable, source);
}

static void source_close(struct source *source)
{
    if (!source->netlink)
        return;
    loop_remove(nfq_fd(source->netlink));
    nfq_destroy_queue(source->queue);
    nfq_close(source->netlink);
}

void capture_open(uint16_t queue_number)
{
    if (!netif_set_loopback_mtu(LOOPBACK_MTU))
        fail("cannot set the MTU of lo");
    tcp.number = queue_number;
    others.number = queue_number + 1;
    source_open(&tcp);
    lost_before = lost_since_boot();
}

void capture_others(void)
{
    if (!others.netlink)
        source_open(&others);
}

void capture_close(void)
{
    source_close(&tcp);
    source_close(&others);
}
