/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: each value is looked for in group policy first, because the firewall does the same, then in the
 * machine's own settings. There the private profile is called StandardProfile, as it was in Windows XP; policies written
 * for Windows XP call it so, too. Which profile applies changes with the network, so all three are read.
 */
#include "windows/firewall_profiles.h"

#include <stddef.h>
#include <windows.h>

#define LOCAL_KEY L"SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\"
#define POLICY_KEY L"SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\"

struct profile_keys {
    const char *name;
    const wchar_t *policy, *old_policy, *local; /* old_policy: NULL if it has none */
};

static bool read_value(const wchar_t *key, const wchar_t *name, DWORD *out)
{
    DWORD value, size = sizeof value;
    if (!key || RegGetValueW(HKEY_LOCAL_MACHINE, key, name, RRF_RT_REG_DWORD, NULL, &value, &size) != ERROR_SUCCESS) {
        return false;
    }
    *out = value;
    return true;
}

/* true: group policy has said so. *out stays as it is where nobody says. */
static bool setting(const struct profile_keys *keys, const wchar_t *name, DWORD *out)
{
    if (read_value(keys->policy, name, out) || read_value(keys->old_policy, name, out)) {
        return true;
    }
    read_value(keys->local, name, out);
    return false;
}

void firewall_profiles_read(struct firewall_profile out[FIREWALL_PROFILES])
{
    static const struct profile_keys all[FIREWALL_PROFILES] = {
        {"domain", POLICY_KEY L"DomainProfile", NULL, LOCAL_KEY L"DomainProfile"},
        {"private", POLICY_KEY L"PrivateProfile", POLICY_KEY L"StandardProfile", LOCAL_KEY L"StandardProfile"},
        {"public", POLICY_KEY L"PublicProfile", NULL, LOCAL_KEY L"PublicProfile"},
    };
    for (size_t i = 0; i < FIREWALL_PROFILES; i++) {
        DWORD on = 1, action = 0;
        setting(&all[i], L"EnableFirewall", &on);
        bool by_policy = setting(&all[i], L"DefaultOutboundAction", &action);
        bool blocks = on && action;
        out[i] = (struct firewall_profile){all[i].name, on != 0, blocks, blocks && by_policy};
    }
}
