/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Captured packets that the kernel side has not decided on yet. Pure.
 */
#ifndef LAB_HELD_H
#define LAB_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

struct held {
    struct held *next;
    uint64_t id;
    struct nfq_q_handle *queue; /* it waits there, by that number */
    uint32_t number;
    bool joined; /* its reception has been told */
    uint32_t length;
    uint8_t data[];
};

/* The oldest; NULL: none. */
struct held *held_first(void);

/* Copies the bytes; the caller sets queue and number. NULL: no memory, or too much is held. */
struct held *held_add(uint64_t id, const void *data, uint32_t length);

struct held *held_find(uint64_t id);
struct held *held_find_key(uint64_t key);
void held_parse(const struct held *held, struct packet *packet);
void held_remove(struct held *held);

/* No more should be added for now. */
bool held_enough(void);

#endif
