/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file udp_owner.h
 * The processes that can have sent a datagram, by the system's tables of UDP sockets.
 */
#ifndef CLI_UDP_OWNER_H
#define CLI_UDP_OWNER_H

#include <stdbool.h>
#include <stdint.h>

enum { UDP_OWNERS_MAX = 8 };

/** Where a datagram comes from. To be set to zero before it is filled in: it is compared as a whole. */
struct udp_source {
    uint8_t address[16]; /**< as on the wire; IPv4: the first 4 bytes, the rest is 0 */
    uint16_t port;       /**< host byte order */
    uint16_t family;     /**< 4 or 6 */
};

struct udp_owner; /* keeps the tables' memory between calls */

struct udp_owner *udp_owner_open(void); /* NULL: no memory, or no such function; GetLastError() */
void udp_owner_close(struct udp_owner *t);

/**
 * The owners of all sockets that are bound to this port, and to this address or to any, in this family. An IPv6 socket
 * on any address can send by IPv4, too: it counts for IPv4 where no IPv4 socket has the port. Each process once; 0 is an
 * owner that Windows does not name. One thread at a time.
 *
 * @return how many; at most UDP_OWNERS_MAX, of which the first are given. 0: there is none, or the table cannot be had
 */
uint32_t udp_owner_find(struct udp_owner *t, const struct udp_source *source, uint32_t pids[UDP_OWNERS_MAX]);

#endif
