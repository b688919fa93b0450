/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: arrays indexed by enum counter. Flows live in an open-addressed table of
 * fixed size; when it is full, further flows are only in the total and their number is reported. The
 * table has room for ten thousand redirected connections, so it is taken from the system afresh at each
 * reset: pages that were never touched cost nothing.
 */
#include "counters.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FLOW_SLOTS = 1 << 18, FLOW_MAX = 150000 };

struct flow_key {
    uint32_t source[4], destination[4];
    uint16_t source_port, destination_port;
    uint8_t protocol;
    uint8_t ipv6;
    uint8_t used;
    uint8_t reserved;
};

static struct counters total;
static struct flow {
    struct flow_key key;
    uint64_t bytes; /* of the captured packets */
    struct counters counters;
} * flows; /* NULL: none yet */
static unsigned flow_count;
static uint64_t flow_misses;

static const char *const names[] = {
#define X(name) #name,
    COUNTER_LIST(X)
#undef X
};

void counters_add(struct counters *handle, enum counter counter, uint64_t number)
{
    total.count[counter] += number;
    if (handle) {
        handle->count[counter] += number;
    }
}

void counters_set(struct counters *handle, enum counter counter, uint64_t number)
{
    total.count[counter] += number - handle->count[counter];
    handle->count[counter] = number;
}

static struct flow_key flow_key_of(const struct packet *packet)
{
    struct flow_key key = {
        .source_port = packet_port(packet, true),
        .destination_port = packet_port(packet, false),
        .protocol = packet->protocol,
        .ipv6 = packet->ipv6 != NULL,
        .used = 1,
    };

    packet_address(packet, true, key.source);
    packet_address(packet, false, key.destination);
    return key;
}

/* The flow's slot, or -1 if the table is full. */
static int flow_find(const struct flow_key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof(*key); i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    if (!flows && (flows = calloc(FLOW_SLOTS, sizeof(*flows))) == NULL) {
        return -1;
    }
    for (unsigned slot = hash % FLOW_SLOTS;; slot = (slot + 1) % FLOW_SLOTS) {
        if (memcmp(&flows[slot].key, key, sizeof(*key)) == 0) {
            return (int)slot;
        }
        if (flows[slot].key.used) {
            continue;
        }
        if (flow_count >= FLOW_MAX) {
            return -1;
        }
        flows[slot].key = *key;
        flow_count++;
        return (int)slot;
    }
}

void counters_add_packet(struct counters *handle, enum counter counter, const struct packet *packet)
{
    struct flow_key key = flow_key_of(packet);
    int slot = flow_find(&key);

    counters_add(handle, counter, 1);
    if (slot < 0) {
        flow_misses++;
        return;
    }
    flows[slot].counters.count[counter]++;
    if (counter == COUNT_captured) {
        flows[slot].bytes += packet->length;
    }
}

void counters_reset(void)
{
    memset(&total, 0, sizeof(total));
    free(flows);
    flows = NULL;
    flow_count = 0;
    flow_misses = 0;
}

void counters_print(FILE *out, const struct counters *counters)
{
    for (int i = 0; i < COUNTERS; i++) {
        fprintf(out, "%s\"%s\":%llu", i ? "," : "", names[i], (unsigned long long)counters->count[i]);
    }
}

void counters_print_total(FILE *out)
{
    counters_print(out, &total);
    fprintf(out, ",\"flows\":%u,\"flows_not_counted\":%llu", flow_count, (unsigned long long)flow_misses);
}

static void print_end(FILE *out, const char *name, const struct flow_key *key, bool source)
{
    const uint32_t *words = source ? key->source : key->destination;
    char text[INET6_ADDRSTRLEN];
    uint32_t network[4];

    for (int i = 0; i < 4; i++) {
        network[i] = htonl(key->ipv6 ? words[3 - i] : words[0]);
    }
    inet_ntop(key->ipv6 ? AF_INET6 : AF_INET, network, text, sizeof(text));
    fprintf(out, "\"%s\":\"%s\",\"%s_port\":%u,", name, text, name, source ? key->source_port : key->destination_port);
}

void counters_print_flows(FILE *out)
{
    const char *separator = "";

    fputc('[', out);
    for (int i = 0; flows && i < FLOW_SLOTS; i++) {
        if (!flows[i].key.used) {
            continue;
        }
        fprintf(out, "%s{\"protocol\":%u,", separator, flows[i].key.protocol);
        print_end(out, "source", &flows[i].key, true);
        print_end(out, "destination", &flows[i].key, false);
        fprintf(out, "\"bytes\":%llu,", (unsigned long long)flows[i].bytes);
        counters_print(out, &flows[i].counters);
        fputc('}', out);
        separator = ",";
    }
    fputc(']', out);
}
