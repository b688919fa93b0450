/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The connections of the capture: the library's list, sorted for searching, with those that have just ended. */
#include "capture_flows.h"

#include "address.h"
#include "flow_snapshot.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { KEPT_MS = 5000, FRAGMENT = 44, LATER_PART = 0x1fff /* of an IPv4 packet: its offset */ };

struct known {
    struct capture_tuple tuple; /* from the end that opened it */
    uint32_t pid;
    bool incoming;
    ULONGLONG seen;
    char process[600];
};

struct capture_flows {
    struct known *rows;
    size_t count, room;
};

static bool is_link_local(const redirector_address *address)
{
    return address->family == 6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

/* Of IPv6, Windows sends no extension header with TCP and UDP but that of a fragment. Where the ports are; 0: nowhere. */
static uint32_t find_ports(const uint8_t *data, uint32_t length, uint32_t *protocol)
{
    uint32_t at = 0;
    if (length >= 28 && data[0] >> 4 == 4 && !((data[6] << 8 | data[7]) & LATER_PART)) {
        *protocol = data[9];
        at = 4u * (data[0] & 15);
    } else if (length >= 48 && data[0] >> 4 == 6) {
        bool part = data[6] == FRAGMENT && !data[42] && data[43] < 8; /* the first one */
        *protocol = part ? data[40] : data[6];
        at = part ? 48 : 40;
    }
    return (*protocol == REDIRECTOR_TCP || *protocol == REDIRECTOR_UDP) && at + 4 <= length ? at : 0;
}

bool capture_read_tuple(const uint8_t *data, uint32_t length, uint32_t interface_index, struct capture_tuple *tuple)
{
    *tuple = (struct capture_tuple){.protocol = 0};
    uint32_t header = find_ports(data, length, &tuple->protocol);
    if (!header) {
        return false;
    }
    uint32_t size = data[0] >> 4 == 6 ? 16 : 4;
    memcpy(tuple->source.bytes, data + (size == 4 ? 12 : 8), size);
    memcpy(tuple->destination.bytes, data + (size == 4 ? 16 : 24), size);
    tuple->source.family = tuple->destination.family = size == 4 ? 4 : 6;
    tuple->source.port = (uint32_t)data[header] << 8 | data[header + 1];
    tuple->destination.port = (uint32_t)data[header + 2] << 8 | data[header + 3];
    if (is_link_local(&tuple->source) || is_link_local(&tuple->destination)) {
        tuple->scope = interface_index;
    }
    return true;
}

struct capture_flows *capture_flows_new(void)
{
    return calloc(1, sizeof(struct capture_flows));
}

static int compare(const void *left, const void *right)
{
    const struct capture_tuple *a = &((const struct known *)left)->tuple, *b = &((const struct known *)right)->tuple;
    int result = memcmp(&a->source, &b->source, sizeof a->source);
    result = result ? result : (int)a->protocol - (int)b->protocol;
    return result ? result : memcmp(&a->destination, &b->destination, sizeof a->destination);
}

/* Equal addresses on two interfaces are two connections, side by side in the list. */
static struct known *find(const struct capture_flows *f, const struct capture_tuple *tuple)
{
    struct known wanted = {.tuple = *tuple};
    struct known *k = f->count ? bsearch(&wanted, f->rows, f->count, sizeof wanted, compare) : NULL;
    while (k && k > f->rows && compare(k - 1, &wanted) == 0) {
        k--;
    }
    for (; k && k < f->rows + f->count && compare(k, &wanted) == 0; k++) {
        if (!k->tuple.scope || !tuple->scope || k->tuple.scope == tuple->scope) {
            return k;
        }
    }
    return NULL;
}

static struct capture_tuple tuple_of(const redirector_flow *flow)
{
    uint32_t scope = flow->destination.scope ? flow->destination.scope : flow->client.scope;
    return (struct capture_tuple){address_without_scope(&flow->client), address_without_scope(&flow->destination),
                                  flow->protocol, scope};
}

static void name_process(struct known *k)
{
    wchar_t wide[260];
    char name[3 * 260];
    text_process_name(wide, sizeof wide / sizeof wide[0], k->pid);
    text_copy_utf8(name, sizeof name, *wide ? wide : L"?");
    int used = snprintf(k->process, sizeof k->process, "%.500s (%" PRIu32 ")", name, k->pid);
    if (k->tuple.scope) {
        snprintf(k->process + used, sizeof k->process - (size_t)used, ", interface %" PRIu32, k->tuple.scope);
    }
}

/* Updates a known one; false: it is new. */
static bool update(struct capture_flows *f, const redirector_flow *flow, ULONGLONG now)
{
    struct capture_tuple tuple = tuple_of(flow);
    struct known *k = find(f, &tuple);
    if (!k) {
        return false;
    }
    if (k->pid != flow->pid) {
        k->pid = flow->pid;
        name_process(k);
    }
    k->incoming = flow->kind == REDIRECTOR_FLOW_INCOMING;
    k->seen = now;
    return true;
}

static void forget_old(struct capture_flows *f, ULONGLONG now)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (now - f->rows[i].seen <= KEPT_MS) {
            f->rows[kept++] = f->rows[i];
        }
    }
    f->count = kept;
}

static bool make_room(struct capture_flows *f, size_t needed)
{
    if (needed <= f->room) {
        return true;
    }
    struct known *larger = realloc(f->rows, 2 * needed * sizeof *larger);
    if (!larger) {
        return false;
    }
    f->rows = larger;
    f->room = 2 * needed;
    return true;
}

static void merge(struct capture_flows *f, const redirector_flow *flows, uint32_t count)
{
    ULONGLONG now = GetTickCount64();
    if (!make_room(f, f->count + count)) {
        return;
    }
    size_t end = f->count;
    for (uint32_t i = 0; i < count; i++) {
        if (update(f, &flows[i], now)) {
            continue;
        }
        struct known *k = &f->rows[end++];
        *k = (struct known){.tuple = tuple_of(&flows[i]),
                            .pid = flows[i].pid,
                            .incoming = flows[i].kind == REDIRECTOR_FLOW_INCOMING,
                            .seen = now};
        name_process(k);
    }
    f->count = end;
    forget_old(f, now);
    qsort(f->rows, f->count, sizeof *f->rows, compare);
}

void capture_flows_refresh(struct capture_flows *f, redirector *r)
{
    uint32_t count;
    bool whole; /* those that are missing are found the next time */
    redirector_flow *flows = flow_snapshot(r, &count, &whole);
    if (flows) {
        merge(f, flows, count);
    }
    free(flows);
}

const char *capture_flows_find(const struct capture_flows *f, const struct capture_tuple *tuple, bool *outbound)
{
    struct capture_tuple back = {tuple->destination, tuple->source, tuple->protocol, tuple->scope};
    const struct known *k = find(f, tuple);
    bool from_opener = k != NULL;
    if (!k) {
        k = find(f, &back);
    }
    if (!k) {
        return NULL;
    }
    *outbound = from_opener != k->incoming;
    return k->process;
}

void capture_flows_free(struct capture_flows *f)
{
    if (f) {
        free(f->rows);
    }
    free(f);
}
