/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Interfaces and addresses of this network namespace. Addresses in WinDivert's form: word 0 least
 * significant, IPv4 mapped.
 */
#ifndef LAB_NETIF_H
#define LAB_NETIF_H

#include <stdbool.h>
#include <stdint.h>

void netif_open(void);
void netif_close(void);

bool netif_is_loopback(const uint32_t address[4]); /* 127/8 or ::1 */
bool netif_is_local(const uint32_t address[4]);    /* loopback, or of an interface */
uint32_t netif_of(const uint32_t address[4]);      /* the interface that has it, the first of several; 0: none */
uint32_t netif_loopback_index(void);
uint32_t netif_mtu(uint32_t index); /* 0: not known */

/* Tells the kernel side the interfaces and addresses; done without asking when they change. */
void netif_push(void);

/* Makes loopback packets at most this long. False: errno says why. */
bool netif_set_loopback_mtu(int mtu);

#endif
