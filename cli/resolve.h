/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file resolve.h
 * The addresses of a host, within a time.
 */
#ifndef CLI_RESOLVE_H
#define CLI_RESOLVE_H

#include "windows_redirector.h"

#include <stdint.h>
#include <winsock2.h>
#include <windows.h>

/**
 * Finds the addresses of a host, in the order in which they are to be tried: as the system sorts them, but the families
 * in turn (RFC 8305, section 4).
 *
 * @param host      a name or an address, UTF-8, at most 255 bytes
 * @param port      what the addresses get as their port
 * @param out       gets at most `max` addresses
 * @param limit_ms  after which it is given up
 * @param found     gets how many there are
 * @return 0; WSAETIMEDOUT: no answer within the time; else the Winsock or Windows error
 */
DWORD resolve(const char *host, uint32_t port, redirector_address *out, uint32_t max, DWORD limit_ms, uint32_t *found);

#endif
