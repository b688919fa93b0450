/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file address.h
 * Addresses between the library, Winsock and text.
 */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <winsock2.h>
#include <ws2tcpip.h>

enum { PORT_MAX = 65535 };

enum { ADDRESS_TEXT_MAX = 72 }; /**< "[address%scope]:port" and its NUL */

/** The address alone, "10.0.0.2", "fd00::2" or, with a scope, "fe80::2%4". */
void address_ip_text(char out[ADDRESS_TEXT_MAX], const redirector_address *address);

/** With the port, "10.0.0.2:80", "[fd00::2]:80" or "[fe80::2%4]:80". */
void address_text(char out[ADDRESS_TEXT_MAX], const redirector_address *address);

/** For Winsock; returns its size. */
int address_to_sockaddr(const redirector_address *address, struct sockaddr_storage *out);

/** From Winsock. */
redirector_address address_from_sockaddr(const struct sockaddr_storage *from);

/** Without its scope, which means nothing to another machine (RFC 6874). */
redirector_address address_without_scope(const redirector_address *address);

bool address_is_loopback(const redirector_address *address);

/** Whether it means something within a network only: private (RFC 1918, RFC 4193), shared (RFC 6598), link-local,
 * loopback. */
bool address_is_private(const redirector_address *address);

/** A scope that one of them lacks is not compared. */
bool address_equal(const redirector_address *a, const redirector_address *b);

#endif
