/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file debug_privilege.h  The right to open any process, held by one thread for as long as it needs it. */
#ifndef WINDOWS_DEBUG_PRIVILEGE_H
#define WINDOWS_DEBUG_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>

struct debug_privilege {
    HANDLE before; /* the token that the thread impersonated with; NULL: none */
    bool held;
};

/**
 * Takes the right for the calling thread: other threads, and what this process starts, do not get it. Returns 0, or the
 * Windows error: Administrators have the right, others do not. Either way debug_privilege_drop() restores what was.
 */
uint32_t debug_privilege_take(struct debug_privilege *p);
void debug_privilege_drop(struct debug_privilege *p);

#endif
