/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file classic.h
 * The one instance behind the classic calls. start_redirector() itself is not here, because its parameters differ
 * between the two archives (classic_start.c and keploy/start_redirector.c).
 */
#ifndef CLASSIC_H
#define CLASSIC_H

#include "error.h"

/**
 * Starts the instance; `config` NULL: redirects nothing, and succeeds. Returns 1, or 0 with the reason kept for
 * redirector_last_error().
 */
uint32_t classic_start(const redirector_config *config);

/** Records why a start was refused before it was attempted. Returns 0. */
uint32_t classic_refuse(redirector_status status, const char *detail);

#endif
