/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Which Linux process a Windows process is.
 *
 * Under Wine each Windows process is one Linux process with a pid of its own. The pairs are found by
 * the eBPF programs, which see every Windows thread's requests to wineserver (see sockev.bpf.c): a
 * process is known before it can have opened a driver handle or a socket. Not thread-safe: the
 * daemon has one thread.
 */
#ifndef LAB_WINPID_H
#define LAB_WINPID_H

#include <stdint.h>

/* Native Linux programs appear to Windows programs with this bit set in their Linux pid. */
#define WINPID_NATIVE 0x40000000u

/* Hands over the process map (the descriptor stays the caller's); -1 forgets it. */
void winpid_use_map(int by_windows_pid);

/* Linux pid of a living process; -1 if there is none. */
int winpid_to_linux(uint32_t windows_pid);

#endif
