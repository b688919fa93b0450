/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: records lie at multiples of 8 bytes. A size that is smaller than a head, or
 * larger than what is left, ends the reading: where the next record begins cannot be known.
 */
#include "records.h"

#include <string.h>

struct records records_of(const void *message, size_t length)
{
    return (struct records){.at = message, .left = length};
}

const struct lab_head *records_next(struct records *records)
{
    const struct lab_head *head = (const struct lab_head *)(const void *)records->at;
    size_t step;

    if (records->left == 0 || records->broken) {
        return NULL;
    }
    if (records->left < sizeof(*head) || head->size < sizeof(*head) || head->size > records->left) {
        records->broken = true;
        return NULL;
    }
    step = lab_padded(head->size);
    if (step > records->left) {
        step = records->left; /* the last one needs no padding */
    }
    records->at += step;
    records->left -= step;
    return head;
}

bool record_data(const struct lab_head *head, size_t fixed, const uint8_t **data, uint32_t *length)
{
    if (head->size < fixed) {
        return false;
    }
    *data = (const uint8_t *)head + fixed;
    *length = head->size - (uint32_t)fixed;
    return true;
}

bool batch_add(struct batch *batch, const void *record, const void *data, uint32_t length)
{
    struct lab_head head;
    size_t size, padded;
    uint8_t *at = batch->bytes + batch->used;

    memcpy(&head, record, sizeof(head));
    size = (size_t)head.size + length;
    padded = (size + 7) & ~(size_t)7;
    if (padded > sizeof(batch->bytes) - batch->used) {
        return false;
    }
    memcpy(at, record, head.size);
    if (length) {
        memcpy(at + head.size, data, length);
    }
    memset(at + size, 0, padded - size);
    head.size = (uint32_t)size;
    memcpy(at, &head, sizeof(head));
    batch->used += padded;
    return true;
}
