/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The faults that a test can script into the driver's requests and packets, see lab/README.md. The daemon
 * parses and prints them (daemon/drvfault.c), the kernel side does them (requests/faults.c), except PID.
 */
#ifndef LAB_FAULTLIST_H
#define LAB_FAULTLIST_H

/* name in commands, what its value means, how often it strikes unless told */
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

#endif
