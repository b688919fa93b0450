/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file service_log.h  What the log says of a redirector's start and end. */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include "service_internal.h"
#include "windows/divert_claim.h"

struct roots;

void service_log_start(redirector *r, const redirector_config *config, const struct roots *roots);

/** What became of the claim; counts, too, if the priorities are not its own. */
void service_log_claim(redirector *r, enum divert_claim_result result, const struct divert_claim *claim);

void service_log_end(redirector *r);

#endif
