/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file pcapng.h
 * Files of packets that Wireshark reads.
 */
#ifndef CLI_PCAPNG_H
#define CLI_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>

struct pcapng;

/** Creates the file, or empties it. NULL: the Windows error is in GetLastError(). */
struct pcapng *pcapng_open(const char *path);

/** Appends an IP packet. `time_us`: since 1970 UTC; `comment`: UTF-8, shown with the packet. False: it cannot be
 * written, and neither can anything later. */
bool pcapng_write(struct pcapng *p, const void *packet, uint32_t length, uint64_t time_us, bool outbound,
                  const char *comment);

/** False: something could not be written. Frees. */
bool pcapng_close(struct pcapng *p);

#endif
