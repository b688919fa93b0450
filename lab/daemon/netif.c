/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a snapshot of addresses and interfaces, which is asked for every packet. A routing
 * socket tells of changes; the next question, or the event loop, then takes a new snapshot and tells the
 * kernel side.
 */
#define _GNU_SOURCE
#include "netif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "loop.h"

enum { MAX_ADDRESSES = 256, MAX_INTERFACES = 64 };

static uint32_t addresses[MAX_ADDRESSES][4];
static uint32_t address_interfaces[MAX_ADDRESSES];
static unsigned address_count;
static uint32_t interfaces[MAX_INTERFACES]; /* the first is the loopback interface */
static uint32_t mtus[MAX_INTERFACES];
static unsigned interface_count;
static uint32_t loopback_index;
static int route_fd = -1;

static void add_address(const struct sockaddr *address, const char *interface)
{
    uint32_t *words = addresses[address_count];

    if (address_count == MAX_ADDRESSES) {
        return;
    }
    if (address->sa_family == AF_INET) {
        words[0] = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
        words[1] = 0xffff;
        words[2] = words[3] = 0;
    } else if (address->sa_family == AF_INET6) {
        uint32_t network[4];

        memcpy(network, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof(network));
        for (int i = 0; i < 4; i++) {
            words[i] = ntohl(network[3 - i]);
        }
    } else {
        return;
    }
    address_interfaces[address_count++] = if_nametoindex(interface);
}

static uint32_t mtu_of(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    known = ioctl(fd, SIOCGIFMTU, &request) == 0;
    close(fd);
    return known ? (uint32_t)request.ifr_mtu : 0;
}

static void add_interface(uint32_t index, const char *name)
{
    if (interface_count == MAX_INTERFACES) {
        return;
    }
    interfaces[interface_count] = index;
    mtus[interface_count++] = mtu_of(name);
}

static void take_snapshot(void)
{
    struct if_nameindex *names = if_nameindex();
    struct ifaddrs *list = NULL;

    address_count = interface_count = 0;
    if (getifaddrs(&list) == 0) {
        for (struct ifaddrs *one = list; one; one = one->ifa_next) {
            if (one->ifa_addr) {
                add_address(one->ifa_addr, one->ifa_name);
            }
        }
        freeifaddrs(list);
    }
    loopback_index = if_nametoindex("lo");
    add_interface(loopback_index, "lo");
    for (struct if_nameindex *one = names; one && one->if_index; one++) {
        if (one->if_index != loopback_index) {
            add_interface(one->if_index, one->if_name);
        }
    }
    if_freenameindex(names);
}

void netif_push(void)
{
    struct lab_addresses record = {
        .head = {LAB_ADDRESSES, sizeof(record)},
        .interfaces = interface_count,
        .addresses = address_count,
    };
    uint8_t data[sizeof(interfaces) + sizeof(addresses) + sizeof(address_interfaces)];
    size_t first = interface_count * sizeof(interfaces[0]), second = address_count * sizeof(addresses[0]);
    size_t third = address_count * sizeof(address_interfaces[0]);

    memcpy(data, interfaces, first);
    memcpy(data + first, addresses, second);
    memcpy(data + first + second, address_interfaces, third);
    link_put(&record, data, (uint32_t)(first + second + third));
}

static void refresh(void)
{
    char message[8192];
    bool changed = false;

    /* An overrun is news, too; only "nothing there" is not. */
    while (recv(route_fd, message, sizeof(message), MSG_DONTWAIT) > 0 || errno == ENOBUFS) {
        changed = true;
        errno = 0;
    }
    if (!changed) {
        return;
    }
    take_snapshot();
    netif_push();
}

static void route_readable(void *context, int fd)
{
    (void)context;
    (void)fd;
    refresh();
}

void netif_open(void)
{
    struct sockaddr_nl groups = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
    };

    route_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (route_fd < 0 || bind(route_fd, (struct sockaddr *)&groups, sizeof(groups)) < 0) {
        perror("windivert-labd: routing socket");
        exit(1);
    }
    take_snapshot();
    loop_add(route_fd, route_readable, NULL);
}

void netif_close(void)
{
    close(route_fd);
}

bool netif_is_loopback(const uint32_t address[4])
{
    if (address[3] || address[2]) {
        return false;
    }
    return address[1] == 0xffff ? address[0] >> 24 == 127 : address[1] == 0 && address[0] == 1;
}

uint32_t netif_of(const uint32_t address[4])
{
    refresh();
    for (unsigned i = 0; i < address_count; i++) {
        if (memcmp(addresses[i], address, sizeof(addresses[i])) == 0) {
            return address_interfaces[i];
        }
    }
    return 0;
}

bool netif_is_local(const uint32_t address[4])
{
    return netif_is_loopback(address) || netif_of(address);
}

uint32_t netif_mtu(uint32_t index)
{
    for (unsigned i = 0; i < interface_count; i++) {
        if (interfaces[i] == index) {
            return mtus[i];
        }
    }
    return 0;
}

uint32_t netif_loopback_index(void)
{
    return loopback_index;
}

bool netif_set_loopback_mtu(int mtu)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_mtu = mtu};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done = ioctl(fd, SIOCSIFMTU, &request) == 0;

    close(fd);
    return done;
}
