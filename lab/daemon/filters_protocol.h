/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The wire between the lab's fwpuclnt.dll and windivert-labd: sessions of the filtering platform.
 *
 * A SOCK_SEQPACKET connection to an *abstract* AF_UNIX name is a session (abstract, so that a program outside the lab's
 * namespace finds none). Each message is a filters_request, answered by a filters_reply. The session ends by
 * FILTERS_CLOSE, or with the connection, so also with its process.
 */
#ifndef LAB_FILTERS_PROTOCOL_H
#define LAB_FILTERS_PROTOCOL_H

#include <stdint.h>

#define FILTERS_SOCKET_NAME "windivert-lab-filters" /* preceded by a NUL byte */

enum filters_what {
    FILTERS_OPEN = 1, /* dynamic: what the session adds goes with it */
    FILTERS_BEGIN,
    FILTERS_COMMIT,
    FILTERS_ABORT,
    FILTERS_ADD_SUBLAYER,
    FILTERS_ADD_FILTER,
    FILTERS_CLOSE,
};

/* Layers in which something is judged here; a filter of another layer has none of them. */
enum filters_layer { FILTERS_CONNECT_V4 = 1, FILTERS_CONNECT_V6 = 2 };

enum filters_application { FILTERS_ANY_APPLICATION, FILTERS_SYSTEM, FILTERS_OTHER_APPLICATION };

enum { FILTERS_ANY_PROTOCOL = 256 };

struct filters_request {
    uint32_t what;
    uint32_t dynamic;              /* OPEN */
    uint8_t key[16], sublayer[16]; /* GUIDs: of what is added; of a filter's sublayer */
    uint64_t weight;
    uint32_t layers; /* of a filter, as are the following */
    uint32_t block;  /* 0: permit */
    uint32_t hard;   /* the action cannot be overridden by sublayers of less weight */
    uint32_t application, protocol;
    uint32_t flags; /* FWP_CONDITION_FLAG_x, all of which have to be set */
};

struct filters_reply {
    uint32_t error; /* what the function returns */
};

_Static_assert(sizeof(struct filters_request) == 72, "same layout for both compilers");

#endif
