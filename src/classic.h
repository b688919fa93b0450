/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file classic.h
 * The one instance behind the classic calls. How start_redirector() looks is not decided here: there are two archives,
 * and theirs differ (classic_start.c, and keploy/).
 */
#ifndef CLASSIC_H
#define CLASSIC_H

#include "error.h"

/** Starts the instance; NULL: nothing is to be redirected, which succeeds as well. 1 or 0, and why for the next asker. */
uint32_t classic_start(const redirector_config *config);

/** A start that is refused before it comes to that. 0 */
uint32_t classic_refuse(redirector_status status, const char *detail);

#endif
