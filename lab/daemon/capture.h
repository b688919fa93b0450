/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Capture: packets that the lab's iptables rules send to the kernel's packet queue.
 */
#ifndef LAB_CAPTURE_H
#define LAB_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Exits with a message if there is no packet queue. TCP is queued there, all else in the next one. */
void capture_open(uint16_t queue_number);
void capture_close(void);

/* From now on other protocols than TCP are captured, too. Calling it again changes nothing. */
void capture_others(void);

/*
 * Pretend that the network card computes these checksums (SUM_IP ...): what leaves is captured before
 * it did, and what arrives has been verified; so their flags are 0.
 */
void capture_set_offload(unsigned sums);
unsigned capture_offload(void);

/* Segments are captured before the card cuts them, and after it has merged them. False: Linux does not. */
bool capture_set_merge(bool on);
bool capture_merge(void);

/* Packets that Linux could not hand over since the queue was opened. */
uint64_t capture_lost(void);

/* The kernel side has decided: the packet goes on its way or not. Unknown ids are ignored. */
void capture_verdict(uint64_t id, bool pass);

/* A packet that is still being decided on, with its bytes as they were told. False: there is none. */
bool capture_packet(uint64_t id, struct packet *packet);

/*
 * The place in the order of capture of the first such packet with this audit key, which is joined by
 * that. AUDIT_AGAIN: there is none.
 */
uint64_t capture_join(uint64_t key);
bool capture_was_joined(uint64_t id);

/* The kernel side is gone: what it was to decide on goes on. */
void capture_release(void);

/* It takes packets again (link_congested). */
void capture_resume(void);

#endif
