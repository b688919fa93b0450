// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: one raw socket per family sends both directions. A packet "injected
// inbound" is simply sent: its destination is an address of this host, so Linux turns it round at
// `lo` without asking where its source belongs. What Windows would refuse or lose is therefore
// decided here, before sending (strict mode). The mark, given per packet, tells the capture rules
// and the capture code where a packet came from. If no other handle may see it, it is final and
// spares the second trip through the queue.
#define _GNU_SOURCE
#include "inject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit.h"
#include "netif.h"
#include "protocol.h"

enum { SERIALS = 65536, SEND_BUFFER = 64 << 20 };

static int raw4 = -1, raw6 = -1;
static bool strict = true;
static struct origin origins[SERIALS]; // indexed by the handle's serial

void inject_open(void)
{
    int one = 1, size = SEND_BUFFER;

    raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (raw4 < 0 || raw6 < 0 || setsockopt(raw6, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)) < 0) {
        perror("windivert-labd: raw socket");
        exit(1);
    }
    setsockopt(raw4, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    setsockopt(raw6, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

void inject_close(void)
{
    close(raw4);
    close(raw6);
}

void inject_set_strict(bool on)
{
    strict = on;
}

bool inject_is_strict(void)
{
    return strict;
}

void inject_register(const struct handle *handle)
{
    origins[handle->serial] = (struct origin){.priority = handle->priority};
}

bool inject_origin(uint32_t mark, struct origin *origin)
{
    if ((mark & MARK_CLASS) != MARK_OUT && (mark & MARK_CLASS) != MARK_IN)
        return false;
    *origin = origins[mark & ~MARK_CLASS];
    origin->outbound = (mark & MARK_CLASS) == MARK_OUT;
    return true;
}

static uint32_t choose_mark(const struct handle *injector, bool outbound)
{
    for (const struct handle *other = handle_first(); other; other = other->next) {
        if (other != injector && other->priority < injector->priority && handle_watches(other, WD_NETWORK) &&
            other->matches != 0)
            return (outbound ? MARK_OUT : MARK_IN) | injector->serial;
    }
    return MARK_FINAL;
}

// Sets *lost to the reason if Windows would take the packet and lose it. COUNTERS: it would not.
static uint32_t check_strictly(const struct packet *packet, const struct wd_address *address, enum counter *lost)
{
    unsigned claimed = (address->ip_checksum ? SUM_IP : 0u) | (address->tcp_checksum ? SUM_TCP : 0u) |
                       (address->udp_checksum ? SUM_UDP : 0u);
    uint32_t source[4], destination[4];

    packet_address(packet, true, source);
    packet_address(packet, false, destination);
    if (address->outbound) {
        bool from_loopback = netif_is_loopback(source), to_loopback = netif_is_loopback(destination);

        if (to_loopback && !from_loopback)
            return ST_INVALID_ADDRESS_COMPONENT;
        if (from_loopback && !netif_is_local(destination))
            *lost = COUNT_loopback_source;
    } else {
        if (!netif_index_valid(address->network.if_idx))
            return ST_INVALID_PARAMETER;
        if (netif_is_loopback(destination) || netif_is_local(source))
            *lost = COUNT_inbound_loopback;
    }
    if (*lost == COUNTERS && !packet_checksums_right(packet, claimed))
        *lost = COUNT_bad_checksum;
    return ST_SUCCESS;
}

// An impostor's packet loses a hop, so that two drivers cannot play ball with it for ever.
static bool take_hop(const struct packet *packet, uint8_t *data, uint32_t length)
{
    uint8_t *hops = data + (packet->ip ? 8 : 7);

    if (*hops <= 1)
        return false;
    --*hops;
    packet_set_checksums(data, length, SUM_IP);
    return true;
}

static ssize_t send_marked(const struct packet *packet, uint32_t mark, const struct wd_address *address)
{
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(mark))];
    } control = {0};
    struct iovec part = {(void *)packet->data, packet->length};
    struct msghdr message = {
        .msg_name = packet->ip ? (void *)&to4 : (void *)&to6,
        .msg_namelen = packet->ip ? sizeof(to4) : sizeof(to6),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SO_MARK;
    control.header.cmsg_len = CMSG_LEN(sizeof(mark));
    memcpy(CMSG_DATA(&control.header), &mark, sizeof(mark));
    if (packet->ip) {
        memcpy(&to4.sin_addr, packet->ip + 16, sizeof(to4.sin_addr));
    } else {
        memcpy(&to6.sin6_addr, packet->ipv6 + 24, sizeof(to6.sin6_addr));
        if (IN6_IS_ADDR_LINKLOCAL(&to6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&to6.sin6_addr))
            to6.sin6_scope_id = address->network.if_idx;
    }
    return sendmsg(packet->ip ? raw4 : raw6, &message, MSG_DONTWAIT);
}

// Errors that Windows finds only after it has accepted the packet are silent losses.
static uint32_t status_of_errno(int error, enum counter *lost)
{
    switch (error) {
    case EMSGSIZE:
        *lost = COUNT_too_big;
        return ST_SUCCESS;
    case EAGAIN:
    case ENOBUFS:
    case EPERM: // the capture queue is full
        *lost = COUNT_unsent;
        return ST_SUCCESS;
    case ENETUNREACH:
        return ST_NETWORK_UNREACHABLE;
    case EHOSTUNREACH:
        return ST_HOST_UNREACHABLE;
    default:
        return ST_DATA_NOT_ACCEPTED;
    }
}

static uint32_t inject_counted(struct handle *handle, uint8_t *data, uint32_t length, const struct wd_address *address,
                               enum counter success)
{
    unsigned missing = (address->ip_checksum ? 0u : SUM_IP) | (address->tcp_checksum ? 0u : SUM_TCP) |
                       (address->udp_checksum ? 0u : SUM_UDP);
    enum counter lost = COUNTERS;
    uint32_t status = ST_SUCCESS, destination[4];
    struct packet packet;

    if (!packet_parse(&packet, data, length)) {
        counters_add(&handle->counters, COUNT_refused, 1);
        return ST_DATA_NOT_ACCEPTED;
    }
    packet_address(&packet, false, destination);
    if (strict)
        status = check_strictly(&packet, address, &lost);
    if (lost == COUNTERS && !address->outbound && !netif_is_local(destination))
        lost = COUNT_inbound_not_local; // sent, it would leave the host
    if (status == ST_SUCCESS && address->impostor && !take_hop(&packet, data, length))
        status = ST_HOST_UNREACHABLE; // the genuine one (c000a012) is 1232 on Windows, too, but not under Wine 8
    if (status == ST_SUCCESS && lost == COUNTERS) {
        packet_set_checksums(data, length, missing);
        if (!address->outbound) {
            origins[handle->serial].if_idx = address->network.if_idx;
            origins[handle->serial].sub_if_idx = address->network.sub_if_idx;
        }
        if (send_marked(&packet, choose_mark(handle, address->outbound), address) < 0)
            status = status_of_errno(errno, &lost);
    }
    if (status != ST_SUCCESS)
        lost = COUNT_refused;
    counters_add_packet(&handle->counters, lost == COUNTERS ? success : lost, &packet);
    return status;
}

uint32_t inject(struct handle *handle, uint8_t *data, uint32_t length, const struct wd_address *address)
{
    struct audit_look look = {0};
    struct packet packet;
    uint32_t status;

    if (packet_parse(&packet, data, length))
        look = audit_look(&packet, address);
    status = inject_counted(handle, data, length, address, COUNT_injected);
    if (status == ST_SUCCESS)
        audit_injected(handle->account, &look);
    return status;
}

void inject_again(struct handle *handle, uint8_t *data, uint32_t length, const struct wd_address *address)
{
    inject_counted(handle, data, length, address, COUNT_reinjected);
}
