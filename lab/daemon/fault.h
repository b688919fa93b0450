/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Faults of socket events, scripted by a test: late, lost, twice. Packets are not touched, so a SYN
 * can come before its CONNECT, or without one.
 */
#ifndef LAB_FAULT_H
#define LAB_FAULT_H

#include <stdbool.h>
#include <stdio.h>

#include "events.h"

/* Events go on to `deliver`. */
void fault_open(events_fn *deliver, void *context);
void fault_close(void);

/* An event has happened; it is delivered, or not, as scripted. An events_fn. */
void fault_event(void *context, const struct sock_event *event);

/*
 * A command without its first word: "delay 50", "lose 3 connect", "lose all", "lose off",
 * "double on [KIND]", "double off [KIND]", "reset". False: not understood, nothing changed.
 */
bool fault_command(const char *words);

/* The settings, as a JSON object. */
void fault_print(FILE *out);

#endif
