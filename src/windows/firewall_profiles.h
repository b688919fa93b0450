/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file firewall_profiles.h
 * What the Windows firewall does with outbound connections that no rule of it mentions, by profile: read from the
 * registry, where its own settings and those of group policy are. It needs nothing else of the library.
 */
#ifndef WINDOWS_FIREWALL_PROFILES_H
#define WINDOWS_FIREWALL_PROFILES_H

#include <stdbool.h>

enum { FIREWALL_PROFILES = 3 };

struct firewall_profile {
    const char *name;     /**< "domain", "private" or "public" */
    bool on;              /**< the firewall is on in it */
    bool blocks_outbound; /**< outbound connections are blocked unless a rule allows them; false where it is off */
    bool by_policy;       /**< group policy says so of outbound connections, not the machine's own settings */
};

/** Reads all profiles; what cannot be read is what Windows begins with: on, and outbound connections allowed. */
void firewall_profiles_read(struct firewall_profile out[FIREWALL_PROFILES]);

#endif
