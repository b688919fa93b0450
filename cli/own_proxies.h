/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file own_proxies.h
 * The user's proxies have to be there before redirecting starts.
 */
#ifndef CLI_OWN_PROXIES_H
#define CLI_OWN_PROXIES_H

#include "options.h"

#include <stdbool.h>

/** Does something listen on each port that was given as a proxy's? If not, a message was shown. */
bool own_proxies_found(const struct options *o);

#endif
