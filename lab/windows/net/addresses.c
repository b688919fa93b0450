/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what the daemon has told of the host's interfaces and addresses last, as a whole.
 * The way out is not asked of a routing table: a packet to an address of this host goes to the loopback
 * interface, one to a link-local address to the interface that has its source address, another to the
 * interface by which captured packets leave, at first the first real one.
 *
 * Nobody who injects a packet outbound says by which interface: FwpsInjectNetworkSendAsync has no such
 * parameter. To a link-local address every interface has a route; what is left is the strong host model,
 * by which a source address confines the choice to its own interface. Where several have it, it is the
 * first one's here, as good a guess as any.
 */
#include "net.h"

#include <string.h>

#include "../runtime/linux.h"

enum { INTERFACES_MAX = 64, ADDRESSES_MAX = 512, PATIENCE_MS = 2000 };

static struct mutex lock;
static uint32_t interfaces[INTERFACES_MAX], interface_count; /* the first is the loopback interface */
static uint32_t addresses[ADDRESSES_MAX][4], address_interfaces[ADDRESSES_MAX], address_count;
static uint32_t leaving; /* interface that packets leave by; 0: not known */
static volatile int known;

void addresses_set(const struct lab_addresses *record)
{
    const uint32_t *words = (const uint32_t *)(record + 1);
    uint64_t needed = sizeof(*record) + record->interfaces * 4ull + record->addresses * 20ull;
    uint32_t count;

    if (record->head.size < needed || record->interfaces > INTERFACES_MAX || record->addresses > ADDRESSES_MAX) {
        lab_log("net: %u interfaces and %u addresses cannot be kept", record->interfaces, record->addresses);
        return;
    }
    mutex_lock(&lock);
    count = record->interfaces;
    interface_count = count;
    memcpy(interfaces, words, count * sizeof(*interfaces));
    address_count = record->addresses;
    memcpy(addresses, words + count, address_count * sizeof(*addresses));
    memcpy(address_interfaces, words + count + 4 * address_count, address_count * sizeof(*address_interfaces));
    leaving = count > 1 ? interfaces[1] : 0;
    mutex_unlock(&lock);
    known = 1;
    futex_wake(&known, 1 << 30);
}

void addresses_forget(void)
{
    mutex_lock(&lock);
    interface_count = address_count = leaving = 0;
    known = 0;
    mutex_unlock(&lock);
}

bool addresses_wait(void)
{
    if (!known) {
        futex_wait(&known, 0, PATIENCE_MS);
    }
    return known;
}

bool address_is_loopback(const uint32_t address[4])
{
    if (address[3] || address[2]) {
        return false;
    }
    return address[1] == 0xffff ? address[0] >> 24 == 127 : address[1] == 0 && address[0] == 1;
}

bool address_is_local(const uint32_t address[4])
{
    bool found = address_is_loopback(address);

    mutex_lock(&lock);
    for (uint32_t i = 0; i < address_count && !found; i++) {
        found = memcmp(addresses[i], address, sizeof(addresses[i])) == 0;
    }
    mutex_unlock(&lock);
    return found;
}

bool interface_is_valid(uint32_t index)
{
    bool found = false;

    mutex_lock(&lock);
    for (uint32_t i = 0; i < interface_count && !found; i++) {
        found = interfaces[i] == index;
    }
    mutex_unlock(&lock);
    return found;
}

static bool address_is_link_local(const uint32_t address[4])
{
    return address[3] >> 22 == 0xfe80 >> 6;
}

/* 0: none has it. */
static uint32_t interface_of(const uint32_t address[4])
{
    uint32_t found = 0;

    mutex_lock(&lock);
    for (uint32_t i = 0; i < address_count && !found; i++) {
        found = memcmp(addresses[i], address, sizeof(addresses[i])) == 0 ? address_interfaces[i] : 0;
    }
    mutex_unlock(&lock);
    return found;
}

uint32_t interface_towards(const uint32_t source[4], const uint32_t destination[4])
{
    uint32_t own = 0;

    if (address_is_local(destination)) {
        return interfaces[0];
    }
    if (address_is_link_local(destination)) {
        own = interface_of(source);
    }
    return own ? own : leaving;
}

void interface_note(uint32_t index)
{
    leaving = index;
}
