/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one raw socket per family sends both directions. A packet "injected
 * inbound" is simply sent: its destination is an address of this host, so Linux turns it round at
 * `lo` without asking where its source belongs; with another destination it would leave the host, so
 * it is not sent. Windows' rules and the handles of lower priority are the kernel side's: what comes here
 * has passed them, and is marked final.
 */
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

#include "netif.h"
#include "obstacle.h"

enum { SEND_BUFFER = 64 << 20 };

static int raw4 = -1, raw6 = -1;

void inject_open(void)
{
    int one = 1, size = SEND_BUFFER;

    raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (raw4 < 0 || raw6 < 0 || setsockopt(raw6, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)) < 0) {
        perror("windivert-labd: raw socket");
        exit(1);
    }
    setsockopt(raw4, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
    setsockopt(raw4, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    setsockopt(raw6, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

void inject_close(void)
{
    close(raw4);
    close(raw6);
}

static ssize_t send_final(const struct packet *packet, uint32_t if_idx)
{
    const uint32_t mark = MARK_FINAL;
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
        if (IN6_IS_ADDR_LINKLOCAL(&to6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&to6.sin6_addr)) {
            to6.sin6_scope_id = if_idx;
        }
    }
    return sendmsg(packet->ip ? raw4 : raw6, &message, MSG_DONTWAIT);
}

enum counter inject_send(const struct packet *packet, const struct lab_injected *injected)
{
    uint32_t destination[4], if_idx = injected->if_idx;

    if (obstacle_takes(packet, injected->outbound)) {
        return COUNT_hindered;
    }
    packet_address(packet, false, destination);
    if (!injected->outbound && !netif_is_local(destination)) {
        return COUNT_inbound_not_local;
    }
    if (if_idx == netif_loopback_index()) {
        if_idx = netif_of(destination); /* a link-local address is its interface's over loopback, too */
    }
    if (send_final(packet, if_idx) >= 0) {
        return COUNTERS;
    }
    return errno == EMSGSIZE ? COUNT_too_big : COUNT_unsent;
}
