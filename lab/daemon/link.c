/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: every connection starts as a peer that has not said what it is; its hello makes
 * it the traffic connection, or one that makes calls (calls.c answers them).
 *
 * The daemon never waits for the kernel side. What the traffic connection does not take at once is kept
 * in an outbox. From CONGESTED bytes on no packets are taken from the kernel's queue, which keeps them
 * (capture.c); what else there is to tell, events above all, may fill it up to OUTBOX_MAX. A kernel side
 * for which that is not enough has stopped: it is dropped.
 *
 * A connection that is to end is shut down, which makes it readable, so the event loop ends it: no
 * caller finds it gone in the middle of what it is doing.
 */
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "loop.h"
#include "outbox.h"
#include "records.h"

enum { SEND_BUFFER = 8 << 20, CONGESTED = 4 << 20, OUTBOX_MAX = 64 << 20, DRAIN_MAX = 4096 };

static const struct link_user *user;
static int listener = -1, traffic = -1;
static bool ending, draining;
static struct batch batch;
static struct outbox outbox;

bool link_connected(void)
{
    return traffic >= 0 && !ending;
}

bool link_congested(void)
{
    return outbox.bytes > CONGESTED;
}

static void end_soon(const char *why)
{
    fprintf(stderr, "link: the kernel side is dropped: %s\n", why);
    ending = true;
    shutdown(traffic, SHUT_RDWR);
}

static void traffic_end(void)
{
    loop_remove(traffic);
    close(traffic);
    traffic = -1;
    ending = false;
    batch.used = 0;
    outbox_clear(&outbox);
    user->lost();
}

/* False: it has to be tried again later, or never. */
static bool send_message(const void *bytes, size_t length)
{
    if (send(traffic, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length) {
        return true;
    }
    if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
        end_soon(strerror(errno));
    }
    return false;
}

void link_flush(void)
{
    if (!batch.used) {
        return;
    }
    if (link_connected() && (outbox.first || !send_message(batch.bytes, batch.used)) && !ending) {
        if (!outbox.first) {
            loop_want_write(traffic, true);
        }
        if (!outbox_put(&outbox, batch.bytes, batch.used)) {
            end_soon("it does not read");
        }
    }
    batch.used = 0;
}

static void traffic_writable(void *context, int fd)
{
    bool congested = link_congested();

    (void)context;
    while (outbox.first && send_message(outbox.first->bytes, outbox.first->length)) {
        outbox_drop_first(&outbox);
    }
    if (!outbox.first || ending) {
        loop_want_write(fd, false);
    }
    if (congested && !link_congested()) {
        user->eased();
    }
}

void link_put(const void *record, const void *data, uint32_t length)
{
    if (!link_connected() || batch_add(&batch, record, data, length)) {
        return;
    }
    link_flush();
    if (link_connected() && !batch_add(&batch, record, data, length)) {
        fputs("link: a record that no message can hold is not sent\n", stderr);
    }
}

void link_drain(void)
{
    static _Alignas(8) uint8_t message[LAB_MESSAGE_MAX];

    if (draining) {
        return;
    }
    draining = true;
    for (int i = 0; i < DRAIN_MAX && traffic >= 0; i++) {
        ssize_t got = recv(traffic, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            break;
        }
        if (got <= 0) {
            traffic_end();
        } else if ((size_t)got > sizeof(message)) {
            end_soon("a message of its is too long");
        } else {
            user->message(message, (size_t)got);
        }
    }
    draining = false;
}

static void traffic_readable(void *context, int fd)
{
    (void)context;
    (void)fd;
    link_drain();
}

/* A kernel side that was unloaded and loaded again has closed its old connection before. */
static bool peer_becomes_traffic(int fd)
{
    int size = SEND_BUFFER;

    link_drain();
    if (traffic >= 0) {
        fputs("link: a second kernel side is refused\n", stderr);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    traffic = fd;
    loop_add(fd, traffic_readable, NULL);
    loop_on_writable(fd, traffic_writable);
    user->connected();
    return true;
}

static void peer_readable(void *context, int fd)
{
    struct lab_head hello;
    bool known = false;
    ssize_t got = recv(fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_TRUNC);

    (void)context;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    loop_remove(fd);
    if (got == sizeof(hello) && hello.size == sizeof(hello)) {
        if (hello.type == LAB_HELLO_TRAFFIC) {
            known = peer_becomes_traffic(fd);
        } else if (hello.type == LAB_HELLO_CALLS) {
            known = calls_add(fd);
        }
    }
    if (!known) {
        close(fd);
    }
}

static void listener_readable(void *context, int fd)
{
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)context;
    if (peer >= 0) {
        loop_add(peer, peer_readable, NULL);
    }
}

void link_listen(const struct link_user *of)
{
    user = of;
    outbox_init(&outbox, OUTBOX_MAX);
    loop_at_round_end(link_flush);
    listener =
        loop_listen(LAB_SOCKET_NAME, sizeof(LAB_SOCKET_NAME) - 1, listener_readable, "serve this network namespace");
}

void link_close(void)
{
    if (traffic >= 0) {
        traffic_end();
    }
    close(listener);
}
