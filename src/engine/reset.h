/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file reset.h
 * Building the RST segments that end a flow at both of its ends (S2).
 */
#ifndef ENGINE_RESET_H
#define ENGINE_RESET_H

#include "flow.h"

enum { RESET_MAX = 60 }; /* bytes: IPv6 and TCP header */

/**
 * Builds a RST for one end of a flow: LEG_FORWARD goes on to the proxy, LEG_REPLY back to the program.
 *
 * @param seq  must be the very sequence number that the receiver expects next, or it is ignored (RFC 5961)
 * @return length in bytes
 */
uint32_t reset_build(const struct flow_table *t, uint32_t id, enum leg leg, uint32_t seq, uint8_t out[RESET_MAX]);

/** Builds the answer "connection refused" for a program that still waits for an answer to its SYN. */
uint32_t reset_refuse_flow(const struct flow_table *t, uint32_t id, uint8_t out[RESET_MAX]);

/** The same to a SYN that has no flow. */
uint32_t reset_refuse(const struct packet *syn, uint8_t out[RESET_MAX]);

#endif
