/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file port_owner.h
 * The process that owns a port of this machine.
 */
#ifndef CLI_PORT_OWNER_H
#define CLI_PORT_OWNER_H

#include <stdint.h>

enum { PORT_NOBODY = 0 };

enum port_kind { PORT_TCP_LISTENER, PORT_UDP };

/** Process id of the owner of `port`, in either family; PORT_NOBODY: none. */
uint32_t port_owner(enum port_kind kind, uint32_t port);

#endif
