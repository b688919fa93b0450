/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Messages that the other end has had no room for yet: a bounded queue. Pure.
 */
#ifndef LAB_OUTBOX_H
#define LAB_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox_message {
    struct outbox_message *next;
    size_t length;
    uint8_t bytes[];
};

struct outbox {
    struct outbox_message *first, **end;
    size_t bytes, limit; /* of messages */
};

void outbox_init(struct outbox *outbox, size_t limit);

/* Copies a message to the end. False: it would be more than the limit, or there is no memory. */
bool outbox_put(struct outbox *outbox, const void *bytes, size_t length);

void outbox_drop_first(struct outbox *outbox);
void outbox_clear(struct outbox *outbox);

#endif
