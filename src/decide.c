/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the engine's table of connections that wait (engine/decisions.h) is read and answered in place.
 * What is here is how each side learns that the other has done something: an event that the engine's thread sets once a
 * round, whatever number of connections it has asked about, and the wake-up of that thread. The event wakes one caller,
 * who sets it again if there may be something for the next.
 */
#include "decide.h"

#include "service_internal.h"

static_assert((int)REDIRECTOR_ACCEPT == (int)DECISION_ACCEPT && (int)REDIRECTOR_REFUSE == (int)DECISION_REFUSE &&
                  (int)REDIRECTOR_PASS == (int)DECISION_PASS && (int)REDIRECTOR_DROP == (int)DECISION_DROP,
              "one set of numbers");

redirector_status decide_next(redirector *r, struct undecided *out, uint32_t timeout_ms)
{
    struct decisions *d = engine_decisions(r->engine);
    ULONGLONG began = GetTickCount64();
    if (!d) {
        return REDIRECTOR_INVALID_ARGUMENT;
    }
    for (;;) {
        if (decisions_take(d, out)) {
            SetEvent(r->decision_wanted);
            return REDIRECTOR_OK;
        }
        if (service_state(r, NULL) != REDIRECTOR_RUNNING) {
            SetEvent(r->decision_wanted);
            return REDIRECTOR_NOT_RUNNING;
        }
        ULONGLONG waited = GetTickCount64() - began;
        if (waited >= timeout_ms && timeout_ms != INFINITE) {
            return REDIRECTOR_NOT_FOUND;
        }
        WaitForSingleObject(r->decision_wanted, timeout_ms == INFINITE ? INFINITE : (DWORD)(timeout_ms - waited));
    }
}

bool decide(redirector *r, uint64_t id, enum decision decision)
{
    struct decisions *d = engine_decisions(r->engine);
    bool counts = d && decisions_decide(d, id, decision);
    if (counts) {
        SetEvent(r->wake);
    }
    return counts;
}

void decide_end(redirector *r)
{
    if (r->decision_wanted) {
        SetEvent(r->decision_wanted);
    }
}

void decide_wake(redirector *r)
{
    if (r->decision_asked) {
        r->decision_asked = false;
        SetEvent(r->decision_wanted);
    }
}
