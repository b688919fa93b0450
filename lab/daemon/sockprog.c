/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: libbpf's skeleton of sockev.bpf.c does the work; what can be set meanwhile are the programs'
 * global variables, which are mapped here.
 */
#define _GNU_SOURCE
#include "sockprog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "events.h"

static struct sockev_bpf *programs;
static unsigned syn_timeout_ms;

struct sockev_bpf *sockprog(void)
{
    return programs;
}

int sockprog_attach(const char *path)
{
    struct {
        struct bpf_program *program;
        struct bpf_link **link;
    } const parts[] = {
        {programs->progs.keep_port4, &programs->links.keep_port4},
        {programs->progs.keep_port6, &programs->links.keep_port6},
        {programs->progs.see_bind4, &programs->links.see_bind4},
        {programs->progs.see_bind6, &programs->links.see_bind6},
        {programs->progs.see_connect4, &programs->links.see_connect4},
        {programs->progs.see_connect6, &programs->links.see_connect6},
        {programs->progs.see_send4, &programs->links.see_send4},
        {programs->progs.see_send6, &programs->links.see_send6},
        {programs->progs.watch_tcp, &programs->links.watch_tcp},
        {programs->progs.watch_arrivals, &programs->links.watch_arrivals},
        {programs->progs.watch_release, &programs->links.watch_release},
    };
    int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = -1;

    if (cgroup < 0) {
        fprintf(stderr, "events: cgroup %s: %s\n", path, strerror(errno));
        return -1;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].link = bpf_program__attach_cgroup(parts[i].program, cgroup);
        if (!*parts[i].link) {
            fprintf(stderr, "events: attach %s to %s: %s\n", bpf_program__name(parts[i].program), path,
                    strerror(errno));
            goto out;
        }
    }
    result = 0;
out:
    close(cgroup); /* the links hold the cgroup */
    return result;
}

int sockprog_load(void)
{
    struct stat ns;

    if (stat("/proc/self/ns/net", &ns)) {
        fprintf(stderr, "events: /proc/self/ns/net: %s\n", strerror(errno));
        return -1;
    }
    programs = sockev_bpf__open();
    if (!programs) {
        fprintf(stderr, "events: eBPF open: %s\n", strerror(errno));
        return -1;
    }
    programs->rodata->lab_netns = (unsigned int)ns.st_ino;
    if (sockev_bpf__load(programs)) {
        fprintf(stderr, "events: eBPF load: %s\n", strerror(errno));
        return -1;
    }
    programs->links.watch_pipes = bpf_program__attach(programs->progs.watch_pipes);
    if (!programs->links.watch_pipes) {
        fprintf(stderr, "events: attach watch_pipes: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

void events_set_asking(bool asking)
{
    programs->bss->asking = asking;
}

void events_set_syn_timeout(unsigned ms)
{
    struct timespec tick;

    clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* what the kernel counts in */
    syn_timeout_ms = ms;
    programs->bss->syn_timeout_ticks = (unsigned)((ms * 1000000ULL + tick.tv_nsec - 1) / tick.tv_nsec);
}

unsigned events_syn_timeout(void)
{
    return syn_timeout_ms;
}

void sockprog_unload(void)
{
    if (programs) {
        sockev_bpf__destroy(programs);
    }
    programs = NULL;
}
