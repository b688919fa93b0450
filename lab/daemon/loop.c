/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a table indexed by descriptor says who wants to know. A handler may remove
 * any descriptor, its own and others that are ready in the same round; those are skipped. A descriptor is
 * watched for reading unless paused, and for writing while that is asked for.
 */
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { MAX_FDS = 1024, MAX_READY = 32, BACKLOG = 64 };

static struct {
    loop_fn *fn, *writable;
    void *context;
    bool paused, wants_write;
} watchers[MAX_FDS];

static int epoll_fd = -1;
static bool stopping;
static void (*round_end)(void);

void loop_add(int fd, loop_fn *fn, void *context)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_fd < 0) {
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    }
    if (fd < 0 || fd >= MAX_FDS || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        perror("windivert-labd: epoll");
        exit(1);
    }
    watchers[fd].fn = fn;
    watchers[fd].writable = NULL;
    watchers[fd].context = context;
    watchers[fd].paused = watchers[fd].wants_write = false;
}

void loop_remove(int fd)
{
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    watchers[fd].fn = NULL;
}

int loop_listen(const char *name, size_t length, loop_fn *fn, const char *what)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(at.sun_path + 1, name, length);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, BACKLOG) < 0) {
        fprintf(stderr, "windivert-labd: cannot %s: %s\n", what,
                errno == EADDRINUSE ? "another daemon does" : strerror(errno));
        exit(1);
    }
    loop_add(fd, fn, NULL);
    return fd;
}

static void update(int fd)
{
    struct epoll_event event = {.data.fd = fd};

    event.events = (watchers[fd].paused ? 0u : EPOLLIN) | (watchers[fd].wants_write ? EPOLLOUT : 0u);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0) {
        perror("windivert-labd: epoll");
        exit(1);
    }
}

void loop_pause(int fd, bool paused)
{
    if (watchers[fd].paused == paused) {
        return;
    }
    watchers[fd].paused = paused;
    update(fd);
}

void loop_on_writable(int fd, loop_fn *fn)
{
    watchers[fd].writable = fn;
}

void loop_want_write(int fd, bool wanted)
{
    if (watchers[fd].wants_write == wanted) {
        return;
    }
    watchers[fd].wants_write = wanted;
    update(fd);
}

void loop_at_round_end(void (*fn)(void))
{
    round_end = fn;
}

static void serve(const struct epoll_event *event)
{
    int fd = event->data.fd;

    if (event->events & EPOLLOUT && watchers[fd].fn && watchers[fd].writable) {
        watchers[fd].writable(watchers[fd].context, fd);
    }
    if (event->events & ~(uint32_t)EPOLLOUT && watchers[fd].fn) {
        watchers[fd].fn(watchers[fd].context, fd);
    }
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
            serve(&ready[i]);
        }
        if (round_end) {
            round_end();
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
