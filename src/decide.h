/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file decide.h  The connections that a program decides about. Any thread, unless it says otherwise. */
#ifndef DECIDE_H
#define DECIDE_H

#include "engine/decisions.h"
#include "service.h"

/** Waits for the next one. OK, NOT_FOUND, NOT_RUNNING, or INVALID_ARGUMENT: nobody is to decide. */
redirector_status decide_next(redirector *r, struct undecided *out, uint32_t timeout_ms);

/** false: it does not wait for that. */
bool decide(redirector *r, uint64_t id, enum decision decision);

/** Redirection has ended: whoever waits learns it. */
void decide_end(redirector *r);

/** Wakes whoever waits, if the engine has asked since the last time. Engine's thread. */
void decide_wake(redirector *r);

#endif
