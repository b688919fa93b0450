/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the engine belongs to its thread, and nothing in it is locked. Who wants something of it leaves
 * a request, wakes the thread, and waits. The request is on the asker's stack, so he must never leave while the thread
 * has it: it is in either's hands, and whoever swaps the pointer to NULL takes it. If the asker runs out of patience he
 * takes it back; if it is gone, the thread has it in hand, and done in a moment.
 */
#include "service_internal.h"

enum { PATIENCE_MS = 1000 };

struct request {
    request_fn *run;
    void *context;
    HANDLE done;
};

bool request_make(redirector *r, request_fn *run, void *context)
{
    struct request request = {run, context, CreateEventW(NULL, TRUE, FALSE, NULL)};
    if (!request.done) {
        return false;
    }
    AcquireSRWLockExclusive(&r->request_lock);
    atomic_store(&r->request, &request);
    SetEvent(r->wake);
    HANDLE ends[] = {request.done, r->thread};
    WaitForMultipleObjects(2, ends, FALSE, PATIENCE_MS);
    struct request *left = &request;
    bool taken = !atomic_compare_exchange_strong(&r->request, &left, NULL);
    if (taken) {
        WaitForSingleObject(request.done, INFINITE);
    }
    ReleaseSRWLockExclusive(&r->request_lock);
    CloseHandle(request.done);
    return taken;
}

void request_serve(redirector *r)
{
    struct request *request = atomic_exchange(&r->request, NULL);
    if (request) {
        request->run(r, request->context);
        SetEvent(request->done);
    }
}
