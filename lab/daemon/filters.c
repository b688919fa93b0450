/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one connection, one session. A second session's transaction waits until the first one's has
 * ended, as on Windows; its request is answered then. A change outside a transaction is a transaction by itself.
 */
#define _GNU_SOURCE
#include "filters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arbitration.h"
#include "link.h"
#include "loop.h"

/* FWP_E_x. */
enum { NO_TXN_IN_PROGRESS = (int)0x8032000d, TXN_IN_PROGRESS = (int)0x8032000e, INVALID_PARAMETER = (int)0x80320035 };

struct session {
    struct session *next;
    int fd;
    bool opened, dynamic, waits; /* waits: for another session's transaction */
};

static int listener = -1;
static bool stalled;
static struct session *sessions;
static struct session *in_transaction; /* NULL: none is */
static void (*changed)(void);

static void answer(const struct session *session, int error)
{
    struct filters_reply reply = {(uint32_t)error};

    link_flush(); /* the kernel side is told of the change first */
    if (send(session->fd, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply)) {
        fprintf(stderr, "filters: a program has not waited for its answer\n");
    }
}

static void let_next_begin(void)
{
    for (struct session *session = sessions; session; session = session->next) {
        if (session->waits) {
            session->waits = false;
            in_transaction = session;
            answer(session, 0);
            return;
        }
    }
}

static void transaction_end(struct session *session, bool commit)
{
    in_transaction = NULL;
    if (commit) {
        arbitration_commit(session);
        changed();
    } else {
        arbitration_abort(session);
    }
    let_next_begin();
}

static void begin(struct session *session)
{
    if (in_transaction == session) {
        answer(session, TXN_IN_PROGRESS);
    } else if (in_transaction) {
        session->waits = true;
    } else {
        in_transaction = session;
        answer(session, 0);
    }
}

static void end(struct session *session, bool commit)
{
    if (in_transaction != session) {
        answer(session, NO_TXN_IN_PROGRESS);
        return;
    }
    transaction_end(session, commit);
    answer(session, 0);
}

static void add(struct session *session, const struct filters_request *request)
{
    int error = arbitration_add(session, request);

    if (!error && in_transaction != session) {
        arbitration_commit(session);
        changed();
    }
    answer(session, error);
}

static void forget(struct session *session)
{
    if (!session->opened) {
        return;
    }
    session->opened = session->waits = false;
    if (in_transaction == session) {
        transaction_end(session, false);
    }
    arbitration_end(session, session->dynamic);
    changed();
}

static void serve(struct session *session, const struct filters_request *request)
{
    if (!session->opened && request->what != FILTERS_OPEN) {
        answer(session, INVALID_PARAMETER);
        return;
    }
    switch (request->what) {
    case FILTERS_OPEN:
        session->opened = true;
        session->dynamic = request->dynamic != 0;
        answer(session, 0);
        break;
    case FILTERS_BEGIN:
        begin(session);
        break;
    case FILTERS_COMMIT:
    case FILTERS_ABORT:
        end(session, request->what == FILTERS_COMMIT);
        break;
    case FILTERS_ADD_SUBLAYER:
    case FILTERS_ADD_FILTER:
        add(session, request);
        break;
    case FILTERS_CLOSE:
        forget(session);
        answer(session, 0);
        break;
    default:
        answer(session, INVALID_PARAMETER);
    }
}

static void session_end(struct session *session)
{
    struct session **at = &sessions;

    while (*at != session) {
        at = &(*at)->next;
    }
    *at = session->next;
    forget(session);
    loop_remove(session->fd);
    close(session->fd);
    free(session);
}

static void session_readable(void *context, int fd)
{
    struct session *session = context;
    struct filters_request request;
    ssize_t got = recv(fd, &request, sizeof(request), MSG_DONTWAIT | (stalled ? MSG_PEEK : 0));

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got != sizeof(request)) {
        session_end(session);
    } else if (stalled) {
        loop_pause(fd, true);
    } else {
        serve(session, &request);
    }
}

static void listener_readable(void *context, int fd)
{
    struct session *session = calloc(1, sizeof(*session));

    (void)context;
    if (!session) {
        return;
    }
    session->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (session->fd < 0) {
        free(session);
        return;
    }
    session->next = sessions;
    sessions = session;
    loop_add(session->fd, session_readable, session);
}

void filters_open(void (*when_changed)(void))
{
    changed = when_changed;
    listener = loop_listen(FILTERS_SOCKET_NAME, sizeof(FILTERS_SOCKET_NAME) - 1, listener_readable,
                           "serve the filtering platform");
}

void filters_close(void)
{
    while (sessions) {
        session_end(sessions);
    }
    loop_remove(listener);
    close(listener);
}

void filters_stall(bool are_stalled)
{
    stalled = are_stalled;
    for (struct session *session = sessions; session && !stalled; session = session->next) {
        loop_pause(session->fd, false);
    }
}

bool filters_are_stalled(void)
{
    return stalled;
}

unsigned filters_sessions(void)
{
    unsigned count = 0;

    for (const struct session *session = sessions; session; session = session->next) {
        count++;
    }
    return count;
}
