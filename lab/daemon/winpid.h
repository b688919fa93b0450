/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Windows process <-> Linux process, and the memory of either.
 *
 * Under Wine each Windows process is one Linux process with a pid of its own. The pairs are found by
 * the eBPF programs, which see every Windows thread's requests to wineserver (see sockev.bpf.c): a
 * process is known before it can have opened a driver handle or a socket. Not thread-safe: the
 * daemon has one thread.
 */
#ifndef LAB_WINPID_H
#define LAB_WINPID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Native Linux programs appear to Windows programs with this bit set in their Linux pid. */
#define WINPID_NATIVE 0x40000000u

/* Hands over the process maps (descriptors stay the caller's); -1, -1 forgets them. */
void winpid_use_maps(int by_linux_pid, int by_windows_pid);

/* Windows pid of a living process; WINPID_NATIVE|pid for a native one; 0 if there is no such process. */
uint32_t winpid_of_linux(int linux_pid);

/* Linux pid of a living process; -1 if there is none. */
int winpid_to_linux(uint32_t windows_pid);

/* Copy n bytes from or to a process; false if any of them could not be copied. */
bool winpid_read(int linux_pid, uint64_t addr, void *buf, size_t n);
bool winpid_write(int linux_pid, uint64_t addr, const void *buf, size_t n);

#endif
