/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pending.h
 * Where a SYN and its CONNECT event meet (O2), whichever comes first.
 *
 * One entry per 4-tuple. An event without its SYN is kept for PENDING_KEEP_MS; a SYN without its event is held, with its
 * bytes, for the hold time at most. A verdict that a SYN has used stays, bound to that SYN's initial sequence number and
 * time: a retransmission gets the same answer, an event that comes too late for it is recognised by its time, and a new
 * connection on the same tuple is another matter. Nothing is kept for ever, and the number of entries and of held packets
 * is bounded; what finds no room passes unheld.
 *
 *   state            set by                           a SYN comes                      an event comes
 *   PENDING_DECIDED  event                            takes the verdict -> USED        the newer one counts
 *   PENDING_USED     SYN after event, event after     same ISN: the same verdict       older than the SYN: too late
 *                    SYN, end of the hold time        other ISN: held -> HELD          younger: -> DECIDED
 *   PENDING_HELD     SYN without event                same ISN: a retransmission       releases the SYN -> USED
 *                                                     other ISN: replaces the old one
 */
#ifndef ENGINE_PENDING_H
#define ENGINE_PENDING_H

#include "packet.h"
#include "tuple_map.h"

enum {
    PENDING_CAPACITY = 8192,
    PENDING_KEEP_MS = 5000,         /* an event whose SYN does not come */
    PENDING_USED_MS = 30000,        /* a verdict: longer than a SYN is retransmitted at a stretch */
    PENDING_HELD_MAX = 1024,        /* held packets at a time */
    PENDING_HELD_PACKET_MAX = 2048, /* bytes: a SYN with a full segment of TCP Fast Open data */
};

#define PENDING_NONE UINT32_MAX

enum pending_state { PENDING_FREE, PENDING_DECIDED, PENDING_USED, PENDING_HELD };

struct pending_entry {
    uint64_t deadline_ms;
    int64_t syn_time;    /* when the driver saw the newest SYN that has left, or was given up: older events are its */
    uint32_t isn;        /* USED, HELD: of the SYN */
    uint32_t pid;        /* owner, if redirect or awaits_cover; 0: not known, and need not be */
    uint32_t slot;       /* HELD: where the bytes are */
    uint32_t length;     /* HELD */
    uint32_t prev, next; /* queue: held entries stand in one, all others in the other */
    struct packet_meta meta; /* HELD */
    uint8_t state;
    bool redirect;     /* DECIDED, USED: the verdict. HELD, awaits_cover: whether its owner is redirected */
    bool awaits_cover; /* HELD: it waits for nothing but the driver's filter (cover.h) */
    bool owner_asked;  /* HELD: the TCP table was already looked at, or need not be */
};

struct pending_queue {
    uint32_t head, tail;
};

struct pending {
    struct tuple_map map;
    struct pending_entry *entries;
    uint8_t *slots; /* PENDING_HELD_MAX packets */
    uint32_t free_slots[PENDING_HELD_MAX];
    uint32_t free_slot_count;
    uint32_t first_free, never_used;
    struct pending_queue held, decided, used; /* oldest first */
};

bool pending_init(struct pending *p, uint64_t seed); /* false: no memory */
void pending_free(struct pending *p);

uint32_t pending_find(const struct pending *p, const struct tuple *tuple); /* PENDING_NONE: no entry */

/**
 * Puts a verdict in the tuple's entry (made if there is none; the oldest kept verdict makes room), and gives its number. The
 * entry must not be HELD.
 */
uint32_t pending_decide(struct pending *p, const struct tuple *tuple, bool redirect, uint32_t pid, uint64_t now_ms);

/** Binds the entry's verdict to a SYN, or confirms that it still is. The entry must not be HELD. */
void pending_use(struct pending *p, uint32_t entry, uint32_t isn, int64_t syn_time, uint64_t now_ms);

/** Holds a SYN; an entry of the same tuple is replaced. false: no room, or the packet is too big. */
bool pending_hold(struct pending *p, const struct packet *syn, const struct packet_meta *meta, uint64_t deadline_ms);

/** The bytes of a held entry: entries[entry].length of them. */
static inline uint8_t *pending_bytes(const struct pending *p, uint32_t entry)
{
    return p->slots + (size_t)p->entries[entry].slot * PENDING_HELD_PACKET_MAX;
}

/**
 * Ends the holding of an entry, which becomes USED with this verdict. The bytes stay where they are until the next
 * pending_hold().
 */
uint8_t *pending_release(struct pending *p, uint32_t entry, bool redirect, uint32_t pid, uint64_t now_ms);

/** Drops verdicts whose time is up. Held packets are the caller's business: he walks them from p->held.head. */
void pending_expire(struct pending *p, uint64_t now_ms);

#endif
