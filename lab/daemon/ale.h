/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Socket events as the kernel side is told of them.
 */
#ifndef LAB_ALE_H
#define LAB_ALE_H

#include "../windows/wire.h"
#include "events.h"

/* Tells the kernel side, and if an operation waits for its answer (event->ask), asks it. An events_fn. */
void ale_tell(void *context, const struct sock_event *event);

/* It has answered; or it is gone and answers nothing any more. */
void ale_answered(uint64_t ask, bool prevented);
void ale_unanswered(void);

/*
 * Which operations have to wait depends on the handles: a SOCKET handle may be about to open, or what is
 * known of the handles (handles.h) has changed.
 */
void ale_opening(void);
void ale_handles_changed(bool socket_opened);

#endif
