/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a list, oldest first, and the sum of its lengths.
 */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

void outbox_init(struct outbox *outbox, size_t limit)
{
    *outbox = (struct outbox){.limit = limit};
    outbox->end = &outbox->first;
}

bool outbox_put(struct outbox *outbox, const void *bytes, size_t length)
{
    struct outbox_message *message;

    if (length > outbox->limit - outbox->bytes || (message = malloc(sizeof(*message) + length)) == NULL) {
        return false;
    }
    message->next = NULL;
    message->length = length;
    memcpy(message->bytes, bytes, length);
    *outbox->end = message;
    outbox->end = &message->next;
    outbox->bytes += length;
    return true;
}

void outbox_drop_first(struct outbox *outbox)
{
    struct outbox_message *first = outbox->first;

    outbox->first = first->next;
    if (!outbox->first) {
        outbox->end = &outbox->first;
    }
    outbox->bytes -= first->length;
    free(first);
}

void outbox_clear(struct outbox *outbox)
{
    while (outbox->first) {
        outbox_drop_first(outbox);
    }
}
