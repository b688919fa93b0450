/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file faults.h  What the programs of the fault matrix and of the soak can, beyond those of the end-to-end tests. */
#ifndef FAULTS_H
#define FAULTS_H

#include "actor.h"

/** Of every program: resources.c, churn.c, rewriter.c. */
void command_resources(const struct command *c, struct json *answer);
void command_churn(const struct command *c, struct json *answer);
void command_churned(const struct command *c, struct json *answer);
void command_churn_end(const struct command *c, struct json *answer);
void command_rewrite(const struct command *c, struct json *answer);
void command_rewrite_end(const struct command *c, struct json *answer);

/** Of the agent: tell.c, storm.c. */
void command_tell(const struct command *c, struct json *answer);
void command_told(const struct command *c, struct json *answer);
void command_tell_end(const struct command *c, struct json *answer);
void command_storm(const struct command *c, struct json *answer);

/** Of the agent whose library runs out of things: scarce.c. */
extern const struct command_entry scarce_commands[];

#endif
