/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the engine belongs to its thread, and nothing in it is locked. Another thread that needs
 * something of it stores a request, wakes the engine's thread, and waits. The request is on the requester's stack, so
 * request_make() must not return while the engine's thread uses it. Ownership passes by the pointer: the thread that
 * swaps it to NULL owns the request. After TIMEOUT_MS the requester tries to take it back; if it is gone, the engine's
 * thread is executing it, and the requester waits for that to end.
 */
#include "service_internal.h"

enum { TIMEOUT_MS = 1000 };

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
    WaitForMultipleObjects(2, ends, FALSE, TIMEOUT_MS);
    struct request *expected = &request;
    bool taken = !atomic_compare_exchange_strong(&r->request, &expected, NULL);
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
