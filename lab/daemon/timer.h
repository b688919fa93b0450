/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One-shot timers of the event loop, by its clock (loop_now_ms).
 */
#ifndef LAB_TIMER_H
#define LAB_TIMER_H

#include <stdint.h>

#include "loop.h"

/* A descriptor; fn is called when its time has come. Exits the program if there can be none. */
int timer_open(loop_fn *fn, void *context);
void timer_close(int fd);

/* Replaces the time set before. A time that has passed counts as now. */
void timer_set(int fd, int64_t due_ms);
void timer_cancel(int fd);

/* To be called first by fn: it is called until this has been. */
void timer_acknowledge(int fd);

#endif
