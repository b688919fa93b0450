/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The kernel's lists of TCP and UDP sockets in the network namespace.
 */
#ifndef LAB_TCPDIAG_H
#define LAB_TCPDIAG_H

#include <stdbool.h>
#include <stdint.h>

struct tcpdiag_socket {
    uint64_t cookie;
    uint8_t state;                    /* Linux' TCP_*, of <netinet/tcp.h> */
    bool ipv6;                        /* family of the socket, not of what it carries */
    bool v6_only;                     /* meaningful for listeners */
    uint8_t local[16], remote[16];    /* network order; IPv4 uses the first four bytes */
    uint16_t local_port, remote_port; /* network order */
    uint32_t if_idx;                  /* 0: any */
};

typedef void tcpdiag_fn(void *context, const struct tcpdiag_socket *socket);

/* Exits with a message if the kernel has no such list. */
void tcpdiag_open(void);
void tcpdiag_close(void);

/*
 * Calls fn for each socket of the protocol and family whose state is in the mask (1 << state). False:
 * the list may be incomplete.
 */
bool tcpdiag_list(uint8_t protocol, bool ipv6, uint32_t states, tcpdiag_fn *fn, void *context);

#endif
