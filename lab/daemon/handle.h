// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Open WinDivert handles: state, INITIALIZE, STARTUP, parameters, SHUTDOWN and CLOSE.
#ifndef LAB_HANDLE_H
#define LAB_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "filter.h"
#include "link.h"
#include "queue.h"

struct recv_request; // recv.c

struct handle {
    struct handle *next; // in order of priority, highest first; handles not open come anywhere
    struct link *link;
    uint64_t file;
    uint32_t owner; // Windows pid of the process that opened it
    int owner_linux;

    bool initialized;
    bool open;
    bool dead; // the driver was unloaded under it
    enum wd_layer layer;
    uint32_t priority;    // (user priority + 30000) << 16 | serial
    uint16_t serial;      // low 16 bits of the number of INITIALIZEs before it
    int64_t opened_ticks; // when it was opened, of loop_ticks()
    uint64_t flags;
    uint64_t matches; // filter flags: WD_MATCH_*
    struct filter filter;
    bool recv_shut, send_shut;

    struct queue queue;
    struct recv_request *pending, **pending_end; // not empty only if the queue is
    struct counters counters;
    uint32_t account; // of the audit
};

// The handles, for walking; handle->next leads on.
struct handle *handle_first(void);

// Does it look at traffic at this layer now?
bool handle_watches(const struct handle *handle, enum wd_layer layer);

static inline int handle_user_priority(const struct handle *handle)
{
    return (int)(handle->priority >> 16) - WD_PRIORITY_MAX;
}

// The link_request_fn and link_lost_fn of the daemon.
void handle_request(struct link *link, const struct lab_request *request, struct lab_reply *reply);
void handle_link_lost(struct link *link);

// Registers with the modules that serve requests later, and script them.
void handle_init(void);

// Closes every handle as if its owner had: pending requests end, queued packets go on.
void handle_close_all(void);

#endif
