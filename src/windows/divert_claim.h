/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file divert_claim.h
 * A band of priorities of one's own, so that any number of redirectors work side by side (O7).
 *
 * Theory of operation: a packet that a handle takes and sends on is seen by handles of lower priority than the sending
 * one only. Two redirectors with the same priorities would therefore hide packets from each other. So each has a band
 * that no other packet handle is in, and what one passes the next one sees.
 *
 * Which band decides who leads a connection that two would redirect: the higher one sees its SYN first. A redirector
 * goes above all others, so the one that was started later leads; but below those that are *inner* to it, whichever was
 * started first: whose process belongs to its tree, or all of whose roots do.
 *
 * A band is claimed by opening the handle that sends, which takes no packets. Then the driver is asked whether anybody
 * was there before; if so, another band is tried. Of two that claim one band at the same time, the driver tells both
 * in the same order: the later one goes away. Nothing else is shared by redirectors, and nothing is left behind.
 */
#ifndef WINDOWS_DIVERT_CLAIM_H
#define WINDOWS_DIVERT_CLAIM_H

#include "windows/divert.h"
#include "windows/process.h"

enum {
    DIVERT_USERS_MAX = 512,
    DIVERT_USERS_READ_MS = 500,
    DIVERT_TAG_ROOTS_MAX = 64,
    DIVERT_TAG_MAX = 4096, /* bytes */
};

/** The tree of the redirector that claims. */
struct divert_claim_tree {
    const struct process_id *roots;
    uint32_t root_count;
    bool (*has)(void *context, uint32_t pid); /* whether a process belongs to it */
    void *context;
};

enum divert_claim_result {
    DIVERT_CLAIM_FAILED,  /* *error; nothing stays open */
    DIVERT_CLAIM_OWN,     /* the band is ours alone */
    DIVERT_CLAIM_NO_ROOM, /* the usual one, which others have, too: no band is left */
    DIVERT_CLAIM_UNKNOWN, /* the usual one: the driver does not tell who else is there */
};

struct divert_claim {
    struct divert_ring *sender; /* the caller's */
    int16_t band;               /* its first priority */
    uint32_t others;            /* redirectors that were there before */
    uint32_t inner_pid;         /* process of one that is inner to this one; 0: there is none */
};

struct divert_claiming;

/** Begins to open the handle that sends, on a thread of its own. NULL: no memory. */
struct divert_claiming *divert_claim_begin(struct divert_api *api, const struct process_id *roots, uint32_t root_count);

/**
 * Waits until it is open, and claims the band: at most half a second longer than the driver takes for it. The tree is
 * that of the same roots. NULL is answered with DIVERT_CLAIM_FAILED.
 */
enum divert_claim_result divert_claim_end(struct divert_claiming *c, const struct divert_claim_tree *tree,
                                          struct divert_claim *out, redirector_error *error);

/** Instead: closes what it has opened, within a second unless the driver hangs. NULL is fine. */
void divert_claim_leave(struct divert_claiming *c);

#endif
