// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Capture: packets that the lab's iptables rules send to the kernel's packet queue.
#ifndef LAB_CAPTURE_H
#define LAB_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

// Exits with a message if there is no packet queue. TCP is queued there, all else in the next one.
void capture_open(uint16_t queue_number);
void capture_close(void);

// From now on other protocols than TCP are captured, too. Calling it again changes nothing.
void capture_others(void);

// Pretend that the network card computes these checksums (SUM_IP ...): what leaves is captured before
// it did, and what arrives has been verified; so their flags are 0.
void capture_set_offload(unsigned sums);
unsigned capture_offload(void);

// Packets that the kernel could not hand over since the queue was opened.
uint64_t capture_lost(void);

#endif
