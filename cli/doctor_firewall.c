/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* doctor: what each profile of the Windows firewall does with outbound connections that no rule of it mentions. */
#include "doctor.h"

#include "doctor_report.h"
#include "windows/firewall_profiles.h"

#include <stdio.h>

static void tell(const struct firewall_profile *p)
{
    doctor_item("firewall");
    doctor_own_text("profile", "%s", p->name);
    doctor_own_text("state", "%s", p->on ? "on" : "off");
    doctor_own_text("outbound", "%s", p->blocks_outbound ? "block" : "allow");
    doctor_own_text("by", "%s", p->by_policy ? "group policy" : "this machine");
}

static void judge(const struct firewall_profile *p)
{
    char what[64], detail[128];
    snprintf(what, sizeof what, "outbound, %s profile", p->name);
    snprintf(detail, sizeof detail, "blocked unless a rule allows it (%s)",
             p->by_policy ? "by group policy" : "set on this machine");
    doctor_found(
        FINDING_NOTE, what, detail,
        "your programs need their rules as before, and your own proxy one of its own; what redirector sends on "
        "it has Windows permit, without --no-firewall-permit: docs/troubleshooting.md has more");
}

void doctor_check_firewall(void)
{
    struct firewall_profile profiles[FIREWALL_PROFILES];
    bool any_on = false, any_blocks = false;
    firewall_profiles_read(profiles);
    for (size_t i = 0; i < FIREWALL_PROFILES; i++) {
        tell(&profiles[i]);
        any_on = any_on || profiles[i].on;
        any_blocks = any_blocks || profiles[i].blocks_outbound;
        if (profiles[i].blocks_outbound) {
            judge(&profiles[i]);
        }
    }
    if (!any_blocks) {
        doctor_found(FINDING_OK, "outbound connections", "allowed by default in each firewall profile", "");
    }
    if (any_on) {
        doctor_found(
            FINDING_NOTE, "Windows firewall", "on",
            "what runs over loopback needs nothing; for --incoming and --reflect allow redirector.exe (or your "
            "proxy) in it");
    } else {
        doctor_found(FINDING_OK, "Windows firewall", "off", "");
    }
}
