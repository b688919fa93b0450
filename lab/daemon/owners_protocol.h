/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The wire between the lab's iphlpapi.dll and windivert-labd: who owns which TCP or UDP socket.
 *
 * A SOCK_SEQPACKET connection to an *abstract* AF_UNIX name for each question (abstract, so that a
 * program outside the lab's namespace gets no answer): one owners_request there, one owners_reply
 * back, then the rows in as many messages as it takes, at most OWNERS_ROWS_PER_MESSAGE in each.
 */
#ifndef LAB_OWNERS_PROTOCOL_H
#define LAB_OWNERS_PROTOCOL_H

#include <stdint.h>

#define OWNERS_SOCKET_NAME "windivert-lab-owners" /* preceded by a NUL byte */

enum { OWNERS_ROWS_PER_MESSAGE = 512 };

enum owners_which { OWNERS_LISTENERS = 1, OWNERS_CONNECTIONS = 2, OWNERS_DATAGRAMS = 4 /* by itself: UDP */ };

struct owners_request {
    uint32_t ipv6;  /* which family */
    uint32_t which; /* of enum owners_which, or-ed */
};

struct owners_reply {
    uint32_t count; /* of rows that follow */
    uint32_t more;  /* strangers' connections that the table is to have besides, IPv4: the asker makes them */
};

struct owners_row {
    uint32_t state;                /* MIB_TCP_STATE */
    uint32_t pid;                  /* Windows pid; 0: nobody's */
    uint8_t local[16], remote[16]; /* network order; IPv4 uses the first four bytes */
    uint32_t scope;                /* of a link-local address, else 0 */
    uint16_t local_port;           /* network order, both */
    uint16_t remote_port;
};

_Static_assert(sizeof(struct owners_request) == 8, "same layout for both compilers");
_Static_assert(sizeof(struct owners_row) == 48, "same layout for both compilers");

#endif
