// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Faults of the driver, scripted by a test: calls that fail, hang or do half of what they should. The
// places where they strike ask here; see fault.h for the faults of socket events.
#ifndef LAB_DRVFAULT_H
#define LAB_DRVFAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "abi.h"

// name in commands, what its value means, how often it strikes unless told, which layers it can name
#define DRVFAULT_LIST(X)                                                                                               \
    X(OPEN, "open", VALUE_CODE, ONCE)                 /* INITIALIZE fails */                                           \
    X(OPEN_LATE, "open-late", VALUE_MS, ONCE)         /* INITIALIZE is answered so much later */                       \
    X(RECV, "recv", VALUE_CODE, ONCE)                 /* RECV fails, the queue stays as it is */                       \
    X(RECV_SINGLE, "recv-single", VALUE_NONE, ALWAYS) /* RECV gives one packet, whatever is there */                   \
    X(SEND, "send", VALUE_CODE, ONCE)                 /* the middle packet of a SEND fails, the others leave */        \
    X(SEND_CUT, "send-cut", VALUE_CODE, ONCE)         /* SEND ends with its middle packet; those before have left */   \
    X(QUEUE, "queue", VALUE_COUNT, ALWAYS)            /* queues hold that many at most */                              \
    X(STALL_RECV, "stall-recv", VALUE_NONE, ALWAYS)   /* RECV is not answered */                                       \
    X(STALL_SEND, "stall-send", VALUE_NONE, ALWAYS)   /* SEND is not */                                                \
    X(STALL_CONTROL, "stall-control", VALUE_NONE, ALWAYS) /* all other requests are not */                             \
    X(UNLOAD, "unload", VALUE_NONE, NOW)                  /* every open handle goes dead */                            \
    X(PID, "pid", VALUE_PID, ONCE)                        /* an event names another process */                         \
    X(IMPOSTOR, "impostor", VALUE_NONE, ONCE)             /* a captured packet is another driver's injection */

enum drvfault {
#define X(id, name, value, times) DRVFAULT_##id,
    DRVFAULT_LIST(X)
#undef X
        DRVFAULTS
};

// Does it strike now, at this layer? Then it is counted and *value (may be NULL) is its value: an
// NTSTATUS, milliseconds, a number or a pid.
bool drvfault_strikes(enum drvfault fault, uint32_t layer, uint32_t *value);

// Is it scripted for this layer? Without counting; drvfault_count does that.
bool drvfault_is_set(enum drvfault fault, uint32_t layer, uint32_t *value);
void drvfault_count(enum drvfault fault, unsigned times);

// A command without its first word, "recv 1450 3 on network" (see lab/README.md). False: not
// understood, nothing changed. `changed` is called after each change that may let requests end.
bool drvfault_command(const char *words);
void drvfault_open(void (*changed)(void), unsigned (*unload)(void));

// How often each has struck, from zero again.
void drvfault_reset_counts(void);

// A JSON object by the faults' names.
void drvfault_print(FILE *out);

#endif
