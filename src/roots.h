/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file roots.h  The roots of the process tree and the agent, identified before anything is opened (I5). */
#ifndef ROOTS_H
#define ROOTS_H

#include "windows/process.h"

struct roots {
    struct process_id *all;
    uint32_t count;
};

/** Identifies client_pid, if there is one, `roots`, and the agent. false: *error. roots_free() in either case. */
bool roots_identify(const redirector_config *config, struct roots *out, redirector_error *error);
void roots_free(struct roots *roots);

/** "pid 12", or "pid 12 (one of 4 roots)". */
void roots_describe(const struct roots *roots, char out[40]);

#endif
