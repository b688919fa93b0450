/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The daemon's end of the wire to the kernel side (see ../windows/wire.h). There is one kernel side at a
 * time.
 */
#ifndef LAB_LINK_H
#define LAB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../windows/wire.h"

struct link_user {
    void (*connected)(void);                           /* tell it how things are */
    void (*message)(const void *message, size_t size); /* records of its, aligned to 8 */
    void (*lost)(void);                                /* it is gone: nothing it was asked will be answered */
    void (*eased)(void);                               /* link_congested() has become false */
};

/* Starts listening. Exits with a message if another daemon serves this network namespace. */
void link_listen(const struct link_user *user);
void link_close(void);

bool link_connected(void);

/*
 * Adds a record, whose head.size is that of its fixed part, and data to the message in the making. It is
 * sent at the end of the event loop's round, or by link_flush. Without a kernel side it goes nowhere.
 */
void link_put(const void *record, const void *data, uint32_t length);
void link_flush(void);

/* Takes in, without waiting, all that the kernel side has told. */
void link_drain(void);

/* So much is waiting for the kernel side that there should be no more packets for now. */
bool link_congested(void);

#endif
