/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a later proof has a thread of its own, for as long as it takes; so the engine's thread never
 * waits for a socket. What the two share changes hands with the thread's beginning and end.
 */
#include "proof.h"

#include "host.h"

enum { END_WAIT_MS = 100 };

static const uint32_t families[PROOF_FAMILIES] = {FAMILY_IP4, FAMILY_IP6};

void proof_task_note_addresses(redirector *r, const struct own_addresses *all)
{
    struct proof *p = &r->proof;
    for (int i = 0; i < PROOF_FAMILIES; i++) {
        p->newest.count[i] = own_addresses_global(all, families[i], p->newest.all[i], PROOF_OWN_ADDRESSES);
    }
    proof_plan_doubt(&p->plan, PROOF_SETTLE_MS, host_now_ms());
}

void proof_task_begin(redirector *r)
{
    atomic_store(&r->proof.started, true);
}

static DWORD WINAPI proof_thread(void *redirector_pointer)
{
    redirector *r = redirector_pointer;
    proof_prepare(r);
    proof_make(r, PROOF_LATER_WAY_MS, PROOF_LATER_MS);
    return 0;
}

/* What follows from the proof that has ended. false: it is over. */
static bool take_result(redirector *r)
{
    struct proof *p = &r->proof;
    switch (proof_plan_ended(&p->plan, p->outcome, host_now_ms())) {
    case PROOF_OPEN_ANEW:
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "a connection of the library's own was not redirected (%s): the driver's "
                 "handle is opened anew",
                 p->detail);
        atomic_fetch_add_explicit(&r->handle_renewals, 1, memory_order_relaxed);
        engine_renew_filter(r->engine);
        return true;
    case PROOF_MENDED:
        log_line(r->log, REDIRECTOR_LOG_WARN, "redirection works again");
        return true;
    case PROOF_GIVE_UP:
        service_fail(r, REDIRECTOR_PROOF_FAILED, 0, p->detail);
        return false;
    case PROOF_GO_ON:
        break;
    }
    return true;
}

bool proof_task_poll(redirector *r)
{
    struct proof *p = &r->proof;
    if (!atomic_load_explicit(&p->started, memory_order_relaxed)) {
        return true;
    }
    uint64_t flows = atomic_load_explicit(&engine_counters(r->engine)->flows_total, memory_order_relaxed);
    if (p->hasty && !p->thread) {
        p->hasty = false;
        proof_plan_doubt(&p->plan, PROOF_SETTLE_MS, host_now_ms());
    }
    bool due = proof_plan_is_due(&p->plan, flows, host_now_ms());
    if (p->thread) {
        if (WaitForSingleObject(p->thread, 0) != WAIT_OBJECT_0) {
            return true;
        }
        CloseHandle(p->thread);
        p->thread = NULL;
        return take_result(r);
    }
    if (due) {
        p->own = p->newest;
        p->thread = CreateThread(NULL, 0, proof_thread, r, 0, NULL);
        if (p->thread) {
            SetThreadPriority(p->thread, THREAD_PRIORITY_NORMAL);
        } else {
            proof_plan_ended(&p->plan, PROOF_UNTRIED, host_now_ms());
        }
    }
    return true;
}

void proof_task_ask_to_end(redirector *r)
{
    atomic_store(&r->proof.end, true);
}

bool proof_task_end(redirector *r)
{
    proof_task_ask_to_end(r);
    if (r->proof.thread && WaitForSingleObject(r->proof.thread, END_WAIT_MS) != WAIT_OBJECT_0) {
        return false;
    }
    if (r->proof.thread) {
        CloseHandle(r->proof.thread);
    }
    r->proof.thread = NULL;
    return true;
}
