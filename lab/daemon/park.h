// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Requests that a scripted fault keeps waiting (RECV has a list of its own, see recv.h).
#ifndef LAB_PARK_H
#define LAB_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

#define PARK_FOR_EVER INT64_MAX

// `serve` answers a request as if it had just arrived.
void park_open(link_request_fn *serve);
void park_close(void);

// Keeps it until due_ms (of loop_now_ms), or until park_release. False: no memory.
bool park_add(struct link *link, const struct lab_request *request, int64_t due_ms);

// Ends a waiting request with CANCELLED. False: there is none with this id.
bool park_cancel(struct link *link, uint64_t id);

// The same for all requests of an open file.
void park_cancel_file(struct link *link, uint64_t file);

// Forgets those of a driver that is gone.
void park_forget(struct link *link);

// Serves those that were to wait for ever and are not to any more.
void park_release(bool (*still_waits)(struct link *link, const struct lab_request *request));

#endif
