/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an array that is always being filled anew. A hand goes round; what was used since it came by last
 * is spared once, so that the peers of a busy server stay and one-time questions go. Pairs of the same local port are
 * chained, for the event that closes their socket.
 */
#include "udp_peers.h"

#include <stdlib.h>

enum { SPARED_IN_A_ROW = 32 };

bool udp_peers_init(struct udp_peers *p, uint64_t seed)
{
    *p = (struct udp_peers){.all = calloc(UDP_PEERS_MAX, sizeof *p->all)};
    if (!p->all || !tuple_map_init(&p->map, UDP_PEERS_MAX, seed)) {
        udp_peers_free(p);
        return false;
    }
    return true;
}

void udp_peers_free(struct udp_peers *p)
{
    free(p->all);
    p->all = NULL;
    tuple_map_free(&p->map);
}

struct udp_peer *udp_peers_find(struct udp_peers *p, const struct tuple *tuple)
{
    uint32_t number = tuple_map_find(&p->map, tuple);
    if (number == TUPLE_MAP_NONE) {
        return NULL;
    }
    p->all[number].used = true;
    return &p->all[number];
}

static uint16_t *chain_of(struct udp_peers *p, uint16_t port)
{
    return &p->chains[port % UDP_PEER_CHAINS];
}

static void remove_one(struct udp_peers *p, uint32_t number)
{
    uint16_t *link = chain_of(p, be16_to_host(p->map.keys[number].src_port));
    while (*link != number + 1) {
        link = &p->all[*link - 1].next;
    }
    *link = p->all[number].next;
    tuple_map_remove(&p->map, number);
}

/* A place, emptied if need be. */
static uint32_t take_place(struct udp_peers *p)
{
    for (uint32_t spared = 0; p->all[p->hand].used && spared < SPARED_IN_A_ROW; spared++) {
        p->all[p->hand].used = false;
        p->hand = (p->hand + 1) % UDP_PEERS_MAX;
    }
    uint32_t number = p->hand;
    p->hand = (p->hand + 1) % UDP_PEERS_MAX;
    if (p->all[number].kind != UDP_PEER_NONE) {
        remove_one(p, number);
    }
    return number;
}

struct udp_peer *udp_peers_put(struct udp_peers *p, const struct tuple *tuple)
{
    uint32_t number = tuple_map_find(&p->map, tuple);
    if (number == TUPLE_MAP_NONE) {
        uint16_t *link = chain_of(p, be16_to_host(tuple->src_port));
        number = take_place(p);
        tuple_map_insert(&p->map, number, tuple);
        p->all[number].next = *link;
        *link = (uint16_t)(number + 1);
    }
    p->all[number] = (struct udp_peer){.next = p->all[number].next, .kind = UDP_PEER_SENDS, .used = true};
    return &p->all[number];
}

void udp_peers_close(struct udp_peers *p, uint16_t port, uint64_t endpoint, uint32_t pid, int64_t closed_at,
                     uint64_t now_ms)
{
    for (uint16_t link = *chain_of(p, port); link; link = p->all[link - 1].next) {
        struct udp_peer *peer = &p->all[link - 1];
        bool same = endpoint && peer->endpoint ? peer->endpoint == endpoint : peer->pid == pid;
        if (same && !peer->closed_at && be16_to_host(p->map.keys[link - 1].src_port) == port) {
            peer->closed_at = closed_at ? closed_at : 1;
            peer->closed_ms = now_ms;
        }
    }
}

void udp_peers_judge_anew(struct udp_peers *p, uint32_t pid)
{
    for (uint32_t i = 0; i < UDP_PEERS_MAX; i++) {
        p->all[i].judged = pid && p->all[i].pid != pid ? p->all[i].judged : 0;
    }
}
