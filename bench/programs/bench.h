/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file bench.h  The commands of the benchmark's program, beside those of the tests' agent. */
#ifndef BENCH_H
#define BENCH_H

#include "actor.h"

extern const struct command_entry pass_commands[];    /* pass.c: the bare loop */
extern const struct command_entry load_commands[];    /* load.c: connections and their end */
extern const struct command_entry forward_commands[]; /* forward.c: the plain relay */

/** Microseconds of a clock that starts anywhere. */
uint64_t bench_now_us(void);

#endif
