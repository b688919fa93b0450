/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file socks_udp.h
 * The header of a datagram between a SOCKS5 proxy and its client (RFC 1928, section 7).
 */
#ifndef CLI_SOCKS_UDP_H
#define CLI_SOCKS_UDP_H

#include "windows_redirector.h"

#include <stdint.h>

enum { SOCKS_UDP_HEADER_MAX = 22 }; /**< bytes of the longest that is written */

/** Writes the header of a datagram to `destination`; the payload follows it. Returns its size. */
uint32_t socks_udp_write(uint8_t out[SOCKS_UDP_HEADER_MAX], const redirector_address *destination);

/**
 * Reads the header of what a proxy has sent. Returns its size, and in *from whose answer follows it; 0: it is too short,
 * names no address, or is a part of a datagram (FRAG), which a client may drop.
 */
uint32_t socks_udp_read(const uint8_t *data, uint32_t length, redirector_address *from);

#endif
