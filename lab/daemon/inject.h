/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Sending of what the kernel side has injected, in either direction.
 */
#ifndef LAB_INJECT_H
#define LAB_INJECT_H

#include "../windows/wire.h"
#include "counters.h"
#include "packet.h"

/* On everything that is sent: the capture rules must not queue it. */
#define MARK_FINAL 0x57450000u

void inject_open(void);
void inject_close(void);

/* COUNTERS, or as what it is lost. */
enum counter inject_send(const struct packet *packet, const struct lab_injected *injected);

#endif
