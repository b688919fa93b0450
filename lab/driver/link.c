// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: two connections (see protocol.h). The dispatching thread uses `calls` and
// waits there for the daemon's immediate answer, so that bad requests fail synchronously and SEND
// costs no thread switch in this process. A thread of our own reads `completions`. Either end of
// file means that the daemon is gone: both sockets are shut down, the reader reports the loss,
// which fails all pending requests, and ends. The next CREATE connects anew.
#include <ddk/wdm.h>

#include "link.h"
#include "linux.h"

// Missing in mingw's wdm.h.
NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE object, BOOLEAN alertable, LARGE_INTEGER *timeout);

static link_completion_fn *on_completion;
static link_lost_fn *on_lost;
static struct mutex call_lock; // one call at a time; also guards the variables below
static volatile bool connected;
static int calls = -1, completions = -1;
static HANDLE reader;

void link_init(link_completion_fn *completion, link_lost_fn *lost)
{
    on_completion = completion;
    on_lost = lost;
}

static void link_disconnect(void)
{
    connected = false;
    linux_call(LINUX_SHUTDOWN, calls, LINUX_SHUT_RDWR, 0, 0);
    linux_call(LINUX_SHUTDOWN, completions, LINUX_SHUT_RDWR, 0, 0);
}

static void NTAPI link_read_completions(void *context)
{
    struct lab_reply reply;

    (void)context;
    while (linux_read(completions, &reply, sizeof(reply)) == sizeof(reply))
        on_completion(&reply);
    link_disconnect();
    on_lost();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static int link_connect(enum lab_op hello)
{
    struct linux_sockaddr_un name = {.family = LINUX_AF_UNIX};
    struct lab_request request = {.op = hello};
    int64_t size = sizeof(name.family) + sizeof(LAB_SOCKET_NAME);
    int64_t fd;

    for (unsigned i = 0; i < sizeof(LAB_SOCKET_NAME) - 1; i++)
        name.path[i + 1] = LAB_SOCKET_NAME[i];
    fd = linux_call(LINUX_SOCKET, LINUX_AF_UNIX, LINUX_SOCK_SEQPACKET | LINUX_SOCK_CLOEXEC, 0, 0);
    if (fd < 0)
        return -1;
    if (linux_call(LINUX_CONNECT, fd, (int64_t)&name, size, 0) < 0 ||
        linux_write((int)fd, &request, sizeof(request)) != sizeof(request)) {
        linux_close((int)fd);
        return -1;
    }
    return (int)fd;
}

// Waits until the reader has ended, then frees what the last connection held.
static void link_release(void)
{
    if (reader) {
        ZwWaitForSingleObject(reader, FALSE, NULL);
        ZwClose(reader);
        reader = NULL;
    }
    if (calls >= 0)
        linux_close(calls);
    if (completions >= 0)
        linux_close(completions);
    calls = completions = -1;
}

static bool link_open_locked(void)
{
    if (connected)
        return true;
    link_release();
    completions = link_connect(LAB_HELLO_COMPLETIONS);
    if (completions < 0)
        return false;
    calls = link_connect(LAB_HELLO_CALLS);
    if (calls < 0) {
        link_release();
        return false;
    }
    connected = true;
    if (!NT_SUCCESS(PsCreateSystemThread(&reader, THREAD_ALL_ACCESS, NULL, NULL, NULL, link_read_completions, NULL))) {
        connected = false;
        reader = NULL;
        link_release();
    }
    return connected;
}

bool link_open(void)
{
    bool open;

    mutex_lock(&call_lock);
    open = link_open_locked();
    mutex_unlock(&call_lock);
    return open;
}

bool link_call(const struct lab_request *request, struct lab_reply *reply)
{
    bool done = false;

    mutex_lock(&call_lock);
    if (connected) {
        done = linux_write(calls, request, sizeof(*request)) == sizeof(*request) &&
               linux_read(calls, reply, sizeof(*reply)) == sizeof(*reply);
        if (!done)
            link_disconnect();
    }
    mutex_unlock(&call_lock);
    return done;
}

void link_notify(const struct lab_request *request)
{
    mutex_lock(&call_lock);
    if (connected && linux_write(calls, request, sizeof(*request)) != sizeof(*request))
        link_disconnect();
    mutex_unlock(&call_lock);
}

void link_close(void)
{
    mutex_lock(&call_lock);
    if (connected)
        link_disconnect();
    link_release();
    mutex_unlock(&call_lock);
}
