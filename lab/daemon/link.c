// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: every connection starts as a `peer` that has not said what it is. The
// completions connection comes first and makes the link; the calls connection of the same process
// joins it. The daemon never waits for a driver: whoever does not take its completions is dropped.
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi.h"
#include "loop.h"

enum { SEND_BUFFER = 4 << 20 }; // thousands of completions

struct link {
    struct link *next;
    int calls, completions; // -1: not there
    int process;            // Linux pid
};

static struct link *links;
static int listener = -1;
static link_request_fn *on_request;
static link_lost_fn *on_lost;

static void link_free(struct link *link)
{
    struct link **at = &links;

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    on_lost(link);
    for (int i = 0; i < 2; i++) {
        int fd = i ? link->calls : link->completions;

        if (fd >= 0) {
            loop_remove(fd);
            close(fd);
        }
    }
    free(link);
}

static bool reply_send(int fd, const struct lab_reply *reply)
{
    return send(fd, reply, sizeof(*reply), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*reply);
}

void link_complete(struct link *link, uint64_t id, uint32_t status, uint32_t information)
{
    struct lab_reply reply = {.id = id, .status = status, .information = information};

    // A shut-down connection becomes readable, so the loop ends the link: nobody's pointers to
    // it die in the middle of what the caller is doing.
    if (!reply_send(link->completions, &reply))
        shutdown(link->completions, SHUT_RDWR);
}

static void calls_readable(void *context, int fd)
{
    struct link *link = context;
    struct lab_request request;
    struct lab_reply reply;
    ssize_t got = recv(fd, &request, sizeof(request), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != sizeof(request)) {
        link_free(link);
        return;
    }
    reply = (struct lab_reply){.id = request.id};
    on_request(link, &request, &reply);
    if ((request.op == LAB_CREATE || request.op == LAB_IOCTL) && !reply_send(fd, &reply))
        link_free(link);
}

// The driver never writes here after its hello: readable means closed.
static void completions_readable(void *context, int fd)
{
    (void)fd;
    link_free(context);
}

static int peer_process(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);

    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return peer.pid;
}

static bool peer_becomes_link(int fd)
{
    struct link *link = calloc(1, sizeof(*link));
    int size = SEND_BUFFER;

    if (!link)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    link->calls = -1;
    link->completions = fd;
    link->process = peer_process(fd);
    link->next = links;
    links = link;
    loop_add(fd, completions_readable, link);
    return true;
}

static bool peer_joins_link(int fd)
{
    int process = peer_process(fd);

    for (struct link *link = links; link; link = link->next) {
        if (link->process == process && link->calls < 0) {
            link->calls = fd;
            loop_add(fd, calls_readable, link);
            return true;
        }
    }
    return false;
}

static void peer_readable(void *context, int fd)
{
    struct lab_request hello;
    bool known = false;
    ssize_t got;

    (void)context;
    got = recv(fd, &hello, sizeof(hello), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_remove(fd);
    if (got == sizeof(hello)) {
        if (hello.op == LAB_HELLO_COMPLETIONS)
            known = peer_becomes_link(fd);
        else if (hello.op == LAB_HELLO_CALLS)
            known = peer_joins_link(fd);
    }
    if (!known)
        close(fd);
}

static void listener_readable(void *context, int fd)
{
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)context;
    if (peer >= 0)
        loop_add(peer, peer_readable, NULL);
}

void link_listen(link_request_fn *request, link_lost_fn *lost)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof(LAB_SOCKET_NAME);

    on_request = request;
    on_lost = lost;
    memcpy(name.sun_path + 1, LAB_SOCKET_NAME, sizeof(LAB_SOCKET_NAME) - 1);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&name, size) < 0 || listen(listener, 16) < 0) {
        fprintf(stderr, "windivert-labd: cannot serve this network namespace: %s\n",
                errno == EADDRINUSE ? "another daemon does" : strerror(errno));
        exit(1);
    }
    loop_add(listener, listener_readable, NULL);
}

void link_close_all(void)
{
    while (links)
        link_free(links);
    close(listener);
}

bool link_read_memory(const struct link *link, uint64_t from, void *to, size_t length)
{
    struct iovec local = {to, length};
    struct iovec remote = {(void *)(uintptr_t)from, length};

    return process_vm_readv(link->process, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

bool link_write_memory(const struct link *link, uint64_t to, const struct iovec *parts, unsigned count)
{
    struct iovec remote = {(void *)(uintptr_t)to, 0};

    for (unsigned i = 0; i < count; i++)
        remote.iov_len += parts[i].iov_len;
    return remote.iov_len == 0 ||
           process_vm_writev(link->process, parts, count, &remote, 1, 0) == (ssize_t)remote.iov_len;
}
