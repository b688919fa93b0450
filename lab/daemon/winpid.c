/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * See winpid.h. The map is written by eBPF and may name processes that are gone, whose Linux pid
 * may belong to somebody else by now; so every answer is checked against the start time in /proc.
 */
#define _GNU_SOURCE
#include "winpid.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "sockev.h"

#define STAT_START_FIELD 22
#define NS_PER_S 1000000000ull

static int windows_map = -1;

void winpid_use_map(int by_windows_pid)
{
    windows_map = by_windows_pid;
}

/* Start of a process in clock ticks since boot; 0 if there is no such process. */
static uint64_t start_ticks(int pid)
{
    char path[32], text[1024], *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    at = strrchr(text, ')'); /* field 2 is the name and may hold anything; 3 follows it */
    for (int field = 2; at && field < STAT_START_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static bool process_is_current(const struct sockev_process *p, uint64_t ticks)
{
    return ticks && p->start_ns / (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK)) == ticks;
}

int winpid_to_linux(uint32_t windows_pid)
{
    struct sockev_process p;
    int native = (int)(windows_pid & ~WINPID_NATIVE);

    if (windows_pid & WINPID_NATIVE) {
        return start_ticks(native) ? native : -1;
    }
    if (bpf_map_lookup_elem(windows_map, &windows_pid, &p) != 0) {
        return -1;
    }
    return process_is_current(&p, start_ticks((int)p.linux_pid)) ? (int)p.linux_pid : -1;
}
