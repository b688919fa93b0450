// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The daemon's end of the driver's connections (see protocol.h). One link is one driver instance.
#ifndef LAB_LINK_H
#define LAB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "protocol.h"

struct link;

// Answers a CREATE or IOCTL; sees CLOSE and CANCEL too (their reply is not sent).
typedef void link_request_fn(struct link *link, const struct lab_request *request, struct lab_reply *reply);

// The driver is gone; none of its requests may be completed any more.
typedef void link_lost_fn(struct link *link);

// Starts listening. Exits with a message if another daemon serves this network namespace.
void link_listen(link_request_fn *request, link_lost_fn *lost);
void link_close_all(void);

// The final reply of a request that was answered with STATUS_PENDING.
void link_complete(struct link *link, uint64_t id, uint32_t status, uint32_t information);

// Memory of the driver's process, where the requests' buffers are.
bool link_read_memory(const struct link *link, uint64_t from, void *to, size_t length);
bool link_write_memory(const struct link *link, uint64_t to, const struct iovec *parts, unsigned count);

#endif
