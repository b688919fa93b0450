/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Messages of the wire (see ../windows/wire.h): series of records. Pure.
 */
#ifndef LAB_RECORDS_H
#define LAB_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../windows/wire.h"

/* Records of a message that has come in; its bytes are aligned to 8. */
struct records {
    const uint8_t *at;
    size_t left;
    bool broken; /* a length lies; nothing behind it can be read */
};

struct records records_of(const void *message, size_t length);

/* The next record, whole and within the message, or NULL: the end, or broken. */
const struct lab_head *records_next(struct records *records);

/* What follows the record's `fixed` bytes, and how much. False: it is shorter than that. */
bool record_data(const struct lab_head *head, size_t fixed, const uint8_t **data, uint32_t *length);

/* A message in the making. */
struct batch {
    size_t used;
    _Alignas(8) uint8_t bytes[LAB_MESSAGE_MAX];
};

/*
 * Adds a record, whose head.size is that of its own fixed part, and the data that follows. False: no
 * room in this message; or in none, if it is empty.
 */
bool batch_add(struct batch *batch, const void *record, const void *data, uint32_t length);

#endif
