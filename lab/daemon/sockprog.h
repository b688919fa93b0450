/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The eBPF programs of sockev.bpf.c: into the kernel and out of it. A part of events.c, which owns them.
 */
#ifndef LAB_SOCKPROG_H
#define LAB_SOCKPROG_H

#include "sockev.skel.h"

/* 0, or -1 with the error printed on stderr; sockprog_unload is due in either case. */
int sockprog_load(void);
int sockprog_attach(const char *cgroup_path);
void sockprog_unload(void);

/* Loaded: their maps and variables. */
struct sockev_bpf *sockprog(void);

#endif
