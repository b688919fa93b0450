/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pending.h
 * The table in which a first SYN and its CONNECT event meet (O2), whichever comes first.
 *
 * One entry per 4-tuple. An event without its SYN is kept for PENDING_KEEP_MS; a SYN without its event is held, with
 * its bytes, for the hold time-out at most. A verdict that a SYN has used stays, bound to that SYN's initial sequence
 * number and time: a retransmission gets the same answer, an event that comes too late for it is recognised by its
 * time, and a new connection on the same tuple is another matter. Nothing is kept for ever, and the number of entries
 * and of held packets is bounded; what finds no room passes unheld.
 *
 *   state            set by                           a SYN comes                      an event comes
 *   PENDING_DECIDED  event                            takes the verdict -> USED        the newer one counts
 *   PENDING_USED     SYN after event, a held SYN      same ISN: the same verdict       older than the SYN: too late
 *                    that left                        other ISN: held -> HELD_...      younger: -> DECIDED
 *   HELD_FOR_OWNER   SYN without event                same ISN: a retransmission       decides: the SYN leaves -> USED,
 *                                                     other ISN: replaces the old one  or -> HELD_FOR_FILTER
 *   HELD_FOR_TABLE   half the hold time-out is over,  as HELD_FOR_OWNER                as HELD_FOR_OWNER, unless who
 *                    or who listens is in doubt: the                                   listens is still in doubt
 *                    TCP table is read
 *   HELD_FOR_EVENT   the TCP table does not know the  as HELD_FOR_OWNER                as HELD_FOR_OWNER
 *                    owner
 *   HELD_FOR_        the SYN is to be redirected, if  as HELD_FOR_OWNER                nothing: its owner is known
 *   DECISION         whoever is asked says so
 *   HELD_FOR_FILTER  the SYN is to be redirected, its as HELD_FOR_OWNER                decides anew
 *                    port is not captured yet
 *
 * Each state is a queue in order of deadlines, so that its head is due first. Nearly always that is the order in which
 * entries come: each deadline is now plus a constant (held.h has those of the HELD states).
 *
 * Where another redirector stands above this one and leads a connection (O7), event and SYN come under different
 * tuples: all that they share is the source port. So the newest entry of each port can be found, too.
 */
#ifndef ENGINE_PENDING_H
#define ENGINE_PENDING_H

#include "decisions.h"
#include "packet.h"
#include "tuple_map.h"

enum {
    PENDING_CAPACITY = 8192,
    PENDING_KEEP_MS = 5000,         /* an event whose SYN does not come */
    PENDING_USED_MS = 30000,        /* a verdict: longer than a SYN is retransmitted at a stretch */
    PENDING_HELD_MAX = 1024,        /* held packets at a time */
    PENDING_HELD_PACKET_MAX = 2048, /* bytes: a SYN with a full segment of TCP Fast Open data */
    PENDING_FAMILIES = 2,
};
static_assert(PENDING_CAPACITY <= UINT16_MAX, "the newest entry of a port is kept in 16 bits");

#define PENDING_NONE UINT32_MAX

enum pending_state {
    PENDING_FREE,
    PENDING_DECIDED,
    PENDING_USED,
    HELD_FOR_OWNER,
    HELD_FOR_TABLE,
    HELD_FOR_EVENT,
    HELD_FOR_DECISION,
    HELD_FOR_FILTER,
    PENDING_STATES,
};

struct pending_entry {
    uint64_t deadline_ms;
    int64_t syn_time;     /* when the driver saw the newest SYN that has left, or was given up: older events are its */
    uint64_t decision_id; /* that it was asked about with; 0: it was not */
    uint32_t isn;         /* USED, HELD: of the SYN */
    uint32_t pid;         /* owner, if redirect or owned; 0: not known, and need not be */
    uint32_t slot;        /* HELD: where the bytes are */
    uint32_t length;      /* HELD */
    uint32_t prev, next;  /* in the queue of the state */
    struct packet_meta meta;    /* HELD */
    uint8_t state;              /* enum pending_state */
    uint8_t decision;           /* enum decision: the answer, also to retransmissions; NONE: there is none yet */
    bool redirect;              /* DECIDED, USED: the verdict. HELD, owned: of its owner's */
    bool block;                 /* likewise: a rule blocks it; then it is not redirected */
    uint32_t upstream;          /* likewise: of the rule that decided */
    bool unsure;                /* `redirect` was found while it was in doubt who listens (sockets.h) */
    bool owned;                 /* HELD: its owner is known, in `pid` */
    bool asked;                 /* HELD: it has waited for the TCP table, and does not do so again */
    uint32_t reading;           /* HELD_FOR_TABLE: the number of the reading that answers (tcp_table.h) */
    uint32_t question;          /* of its questions, the one that is about this; 0: none is */
    uint64_t owner_deadline_ms; /* HELD: until when it waits for its owner */
};

struct pending_queue {
    uint32_t head, tail;
};

struct pending {
    struct tuple_map map;
    struct pending_entry *entries;
    uint8_t *slots;   /* PENDING_HELD_MAX packets */
    uint16_t *newest; /* by family and source port: the entry that was made or decided last; it may be gone since */
    uint32_t free_slots[PENDING_HELD_MAX];
    uint32_t free_slot_count;
    uint32_t first_free, never_used;
    struct pending_queue queues[PENDING_STATES]; /* by state, oldest first; that of PENDING_FREE is not used */
};

bool pending_init(struct pending *p, uint64_t seed); /* false: no memory */
void pending_free(struct pending *p);

uint32_t pending_find(const struct pending *p, const struct tuple *tuple); /* PENDING_NONE: no entry */

/** The entry with the tuple's family and source port that was made or decided last; PENDING_NONE: there is none. */
uint32_t pending_newest_of_port(const struct pending *p, const struct tuple *tuple);

/**
 * Puts a verdict in the tuple's entry (made if there is none; the oldest kept verdict makes room), and gives its
 * number. The entry must not be held.
 */
uint32_t pending_decide(struct pending *p, const struct tuple *tuple, bool redirect, uint32_t pid, uint64_t now_ms);

/** Binds the entry's verdict to a SYN, or confirms that it still is. The entry must not be held. */
void pending_use(struct pending *p, uint32_t entry, uint32_t isn, int64_t syn_time, uint64_t now_ms);

static inline bool pending_is_held(const struct pending_entry *entry)
{
    return entry->state >= HELD_FOR_OWNER;
}

static inline bool pending_has_room(const struct pending *p, uint32_t length)
{
    return p->free_slot_count && length <= PENDING_HELD_PACKET_MAX;
}

/** Holds a SYN in one of the HELD states; an entry of the same tuple is replaced. false: no room, or it is too big. */
bool pending_hold(struct pending *p, const struct packet *syn, const struct packet_meta *meta, enum pending_state state,
                  uint64_t deadline_ms);

/** A held entry goes on to another of the HELD states. */
void pending_hold_on(struct pending *p, uint32_t entry, enum pending_state state, uint64_t deadline_ms);

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

/** Drops verdicts whose time is up. Held packets are up to the caller. */
void pending_expire(struct pending *p, uint64_t now_ms);

#endif
