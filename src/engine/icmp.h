/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file icmp.h
 * ICMP and ICMPv6 errors about datagrams of a flow: given other addresses, and made from nothing (U4). Their sums are
 * computed in full, because no driver does that.
 */
#ifndef ENGINE_ICMP_H
#define ENGINE_ICMP_H

#include "datagram.h"

/** IPv6 header, ICMPv6 header, and what is quoted: an IPv6 header and a UDP header. */
enum { ICMP_UNREACHABLE_MAX = 40 + 8 + 40 + 8 };

/** Makes of an error (DATAGRAM_ERROR) one to the sender of `quoted`, from where that was sent to, quoting it. */
void icmp_retell(struct datagram *d, const struct tuple *quoted, uint16_t quoted_delta);

/** Writes "port unreachable" about a datagram with this tuple, to its sender. Gives its length. */
uint32_t icmp_unreachable(const struct tuple *quoted, uint8_t out[ICMP_UNREACHABLE_MAX]);

#endif
