/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Microsoft's filter arbitration, for filters without callouts. Sublayers are asked from the
 * greatest weight down. In each, the matching filter of greatest weight decides. A block is final. A permit can be
 * overridden by a block in a lower sublayer, unless it is a hard one. The firewall is a sublayer of its own with one
 * filter, a block of everything.
 */
#include "arbitration.h"

#include <stddef.h>
#include <string.h>

enum { SUBLAYERS = 64, FILTERS = 256, FIREWALL_WEIGHT = 0x8000 };

/* As what an injected packet is seen. */
enum { PROTOCOL_INJECTED = 255, PROTOCOL_TCP = 6, FLAG_RAW_ENDPOINT = 0x10 };

struct object {
    const void *session; /* NULL: of one that has ended */
    bool used, in_force;
    struct filters_request given;
};

static struct object sublayers[SUBLAYERS], filters[FILTERS];
static bool sees_tcp;

static const struct {
    struct object *first;
    size_t count;
} tables[] = {{sublayers, SUBLAYERS}, {filters, FILTERS}};

static struct object *find(struct object *table, size_t count, const uint8_t key[16])
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].used && !memcmp(table[i].given.key, key, sizeof(table[i].given.key))) {
            return &table[i];
        }
    }
    return NULL;
}

static int add(struct object *table, size_t count, const void *session, const struct filters_request *request)
{
    if (find(table, count, request->key)) {
        return ARBITRATION_ALREADY_EXISTS;
    }
    for (size_t i = 0; i < count; i++) {
        if (!table[i].used) {
            table[i] = (struct object){session, true, false, *request};
            return 0;
        }
    }
    return ARBITRATION_FULL;
}

int arbitration_add(const void *session, const struct filters_request *request)
{
    if (request->what == FILTERS_ADD_SUBLAYER) {
        return add(sublayers, SUBLAYERS, session, request);
    }
    if (!find(sublayers, SUBLAYERS, request->sublayer)) {
        return ARBITRATION_SUBLAYER_NOT_FOUND;
    }
    return add(filters, FILTERS, session, request);
}

static void for_session(const void *session, void (*change)(struct object *object))
{
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            if (tables[t].first[i].used && tables[t].first[i].session == session) {
                change(&tables[t].first[i]);
            }
        }
    }
}

static void put_in_force(struct object *object)
{
    object->in_force = true;
}

static void take_back(struct object *object)
{
    object->used = object->in_force;
}

static void delete (struct object *object)
{
    object->used = false;
}

static void disown(struct object *object)
{
    object->session = NULL;
}

void arbitration_commit(const void *session)
{
    for_session(session, put_in_force);
}

void arbitration_abort(const void *session)
{
    for_session(session, take_back);
}

void arbitration_end(const void *session, bool dynamic)
{
    for_session(session, take_back);
    for_session(session, dynamic ? delete : disown);
}

void arbitration_see_tcp(bool tcp)
{
    sees_tcp = tcp;
}

static bool matches_injected(const struct filters_request *filter, enum filters_layer layer)
{
    const uint32_t protocol = sees_tcp ? PROTOCOL_TCP : PROTOCOL_INJECTED, flags = sees_tcp ? FLAG_RAW_ENDPOINT : 0;

    return filter->layers & layer && filter->application != FILTERS_OTHER_APPLICATION && !(filter->flags & ~flags) &&
           (filter->protocol == FILTERS_ANY_PROTOCOL || filter->protocol == protocol);
}

/* The filter that decides in the sublayer; NULL: none matches. */
static const struct filters_request *decides(const struct object *sublayer, enum filters_layer layer)
{
    const struct filters_request *best = NULL;

    for (size_t i = 0; i < FILTERS; i++) {
        const struct filters_request *filter = &filters[i].given;

        if (filters[i].used && filters[i].in_force && matches_injected(filter, layer) &&
            !memcmp(filter->sublayer, sublayer->given.key, sizeof(filter->sublayer)) &&
            (!best || filter->weight > best->weight)) {
            best = filter;
        }
    }
    return best;
}

/* Sublayers below the firewall's cannot change anything: its block is final, or a hard permit is. */
bool arbitration_blocks_injected(enum filters_layer layer)
{
    for (int weight = 0xffff; weight > FIREWALL_WEIGHT; weight--) {
        for (size_t i = 0; i < SUBLAYERS; i++) {
            const struct filters_request *filter;

            if (!sublayers[i].used || !sublayers[i].in_force || sublayers[i].given.weight != (uint64_t)weight ||
                (filter = decides(&sublayers[i], layer)) == NULL) {
                continue;
            }
            if (filter->block || filter->hard) {
                return filter->block;
            }
        }
    }
    return true;
}

unsigned arbitration_filters(void)
{
    unsigned count = 0;

    for (size_t i = 0; i < FILTERS; i++) {
        count += filters[i].used && filters[i].in_force;
    }
    return count;
}
