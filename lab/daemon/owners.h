/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Who owns which TCP or UDP socket of the client, as GetExtendedTcpTable and GetExtendedUdpTable would tell. Wine 8 does not know,
 * so the lab's iphlpapi.dll asks here.
 */
#ifndef LAB_OWNERS_H
#define LAB_OWNERS_H

#include "events.h"

/* Exits with a message if the question socket or the kernel's socket list is not to be had. */
void owners_open(void);
void owners_close(void);

/* Unknown: the lists are complete, but say of no socket whose it is. */
void owners_set_known(bool known);
bool owners_are_known(void);

/* So many connections of strangers are listed besides: a busy machine, without its sockets. */
void owners_set_strangers(uint32_t count);
uint32_t owners_strangers(void);

/*
 * Remembers the socket's process. To be called for every event that happens, also for those that a
 * test has scripted to be lost.
 */
void owners_note(const struct sock_event *event);

#endif
