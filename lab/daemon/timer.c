/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a timerfd each. Zero would disarm it, so times begin at 1 ns.
 */
#include "timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timer_open(loop_fn *fn, void *context)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd < 0) {
        perror("windivert-labd: timer");
        exit(1);
    }
    loop_add(fd, fn, context);
    return fd;
}

void timer_close(int fd)
{
    loop_remove(fd);
    close(fd);
}

void timer_set(int fd, int64_t due_ms)
{
    struct itimerspec when = {.it_value = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 + 1}};

    timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void timer_cancel(int fd)
{
    struct itimerspec never = {0};

    timerfd_settime(fd, 0, &never, NULL);
}

void timer_acknowledge(int fd)
{
    uint64_t expirations;

    /* Fails only if the timer was set anew meanwhile, which has done the same. */
    if (read(fd, &expirations, sizeof(expirations)) < 0) {
        return;
    }
}
