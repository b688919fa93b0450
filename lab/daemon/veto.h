/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Operations that stand still until the driver has answered whether they may be done (sockev_veto.bpf.h).
 */
#ifndef LAB_VETO_H
#define LAB_VETO_H

#include <stdbool.h>
#include <stdint.h>

#include "events.h"

/* The map in which the answers are put down. */
void veto_open(int questions_map);

/* Lets everything go on. */
void veto_close(void);

/*
 * The event of a record with an asker: it gets its number (event->ask), never 0. 0: too many wait, and the
 * operation has been allowed.
 */
uint64_t veto_begin(const struct sockev_record *record, struct sock_event *event);

/* The event that waits under this number, until veto_end or veto_begin; NULL: none does. */
const struct sock_event *veto_event(uint64_t ask);

/* Answers, and lets the process go on. */
void veto_end(uint64_t ask, bool prevented);

/* One that has waited for more than its time; 0: none. */
uint64_t veto_overdue(void);

/* When veto_overdue is to be asked next, of loop_now_ms(); 0: nothing waits. */
int64_t veto_due(void);

/* What the kernel will choose as local address, where the event of a connect has none yet. */
void veto_local_address(struct sock_event *event);

#endif
