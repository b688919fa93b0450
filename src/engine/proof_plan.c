/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "proof_plan.h"

void proof_plan_init(struct proof_plan *p, uint64_t now_ms)
{
    *p = (struct proof_plan){.due_ms = now_ms + PROOF_PERIOD_MS, .asked_ms = now_ms};
}

void proof_plan_doubt(struct proof_plan *p, uint64_t within_ms, uint64_t now_ms)
{
    p->due_ms = p->due_ms < now_ms + within_ms ? p->due_ms : now_ms + within_ms;
    p->doubted = true;
}

bool proof_plan_is_due(struct proof_plan *p, uint64_t flows, uint64_t now_ms)
{
    if (flows != p->flows && !p->doubted) {
        p->due_ms = now_ms + PROOF_PERIOD_MS;
    }
    if (now_ms - p->asked_ms >= PROOF_AWAY_MS) {
        proof_plan_doubt(p, 0, now_ms);
    }
    p->flows = flows;
    p->asked_ms = now_ms;
    return now_ms >= p->due_ms;
}

enum proof_consequence proof_plan_ended(struct proof_plan *p, enum proof_outcome outcome, uint64_t now_ms)
{
    bool opened_anew = p->opened_anew;
    p->opened_anew = outcome == PROOF_FAILED;
    p->doubted = p->opened_anew;
    p->due_ms = now_ms + (p->opened_anew ? 0 : PROOF_PERIOD_MS);
    if (outcome == PROOF_FAILED) {
        return opened_anew ? PROOF_GIVE_UP : PROOF_OPEN_ANEW;
    }
    return opened_anew && outcome == PROOF_MADE ? PROOF_MENDED : PROOF_GO_ON;
}
