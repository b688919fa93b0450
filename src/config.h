/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file config.h  Checks the caller's configuration and rules, and copies them into the library's own. */
#ifndef CONFIG_H
#define CONFIG_H

#include "engine/rules.h"
#include "windows_redirector.h"

enum { CONFIG_DETAIL_SIZE = 120 };

/**
 * Copies a configuration of any published size, and fills in the agent's default. Not OK: `detail` says which argument
 * is wrong, unless the status does.
 */
redirector_status config_take(const redirector_config *in, redirector_config *out, char detail[CONFIG_DETAIL_SIZE]);

/** The library's own copy of the rules, in *out; NULL for none. */
redirector_status config_take_rules(const redirector_rule *rules, uint32_t count, struct rules **out,
                                    char detail[CONFIG_DETAIL_SIZE]);

#endif
