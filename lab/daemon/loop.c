// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a table indexed by descriptor says who wants to know. A handler may remove
// any descriptor, its own and others that are ready in the same round; those are skipped.
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { MAX_FDS = 1024, MAX_READY = 32 };

static struct {
    loop_fn *fn;
    void *context;
} watchers[MAX_FDS];

static int epoll_fd = -1;
static bool stopping;

void loop_add(int fd, loop_fn *fn, void *context)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_fd < 0)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0 || fd >= MAX_FDS || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        perror("windivert-labd: epoll");
        exit(1);
    }
    watchers[fd].fn = fn;
    watchers[fd].context = context;
}

void loop_remove(int fd)
{
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    watchers[fd].fn = NULL;
}

void loop_run(void)
{
    struct epoll_event ready[MAX_READY];

    while (!stopping) {
        int count = epoll_wait(epoll_fd, ready, MAX_READY, -1);

        if (count < 0 && errno != EINTR) {
            perror("windivert-labd: epoll_wait");
            exit(1);
        }
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;

            if (watchers[fd].fn)
                watchers[fd].fn(watchers[fd].context, fd);
        }
    }
}

void loop_stop(void)
{
    stopping = true;
}

int64_t loop_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000 + now.tv_nsec / 1000000;
}

int64_t loop_ticks(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return now.tv_sec * (int64_t)10000000 + now.tv_nsec / 100;
}
