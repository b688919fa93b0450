/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file names.h
 * Under which names addresses were looked up (R2).
 *
 * Names are told by whoever has seen the answer (the proxy that the tree's DNS goes through, a hosts file); nothing is
 * guessed. An address that has several names has the one that was told last. The table is bounded: the address that came
 * into it first makes room.
 */
#ifndef ENGINE_NAMES_H
#define ENGINE_NAMES_H

#include "types.h"

enum { NAMES_MAX = 4096, NAME_BYTES = 254 }; /* a name has 253 characters at most (RFC 1035), and its NUL */

struct names;

struct names *names_new(uint64_t seed); /* NULL: no memory */
void names_free(struct names *n);

/** The name is copied; it has 1 to NAME_BYTES - 1 bytes. */
void names_tell(struct names *n, const ip_addr *address, uint32_t family, const char *name);

/** "" if nobody has told. Until the next names_tell(). n == NULL: nobody has told anything. */
const char *names_of(const struct names *n, const ip_addr *address, uint32_t family);

#endif
