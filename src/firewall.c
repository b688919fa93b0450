/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the permit is asked for before the driver's handles are opened, and waited for afterwards, so that
 * it costs a start next to nothing: both ask the same service, which answers by then. It is waited for at all because a
 * packet that is captured before the permit is in force might be blocked. It is taken back after the handles, because
 * closing one sends on what is in its queue.
 * Without a permit redirection goes on: where the firewall lets outbound connections be, it is not needed.
 */
#include "firewall.h"

#include "service_internal.h"
#include "windows/firewall_permit.h"
#include "windows/firewall_profiles.h"

#include <stdio.h>
#include <string.h>

enum { READY_WAIT_MS = 1000, END_WAIT_MS = 200 };

void firewall_begin(redirector *r)
{
    if (!(r->flags & REDIRECTOR_NO_FIREWALL_PERMIT)) {
        r->permit = firewall_permit_begin();
    }
}

/* "domain, public": the profiles that block outbound connections; "" if none does. */
static void blocking_profiles(char *out, size_t size)
{
    struct firewall_profile profiles[FIREWALL_PROFILES];
    size_t used = 0;
    firewall_profiles_read(profiles);
    *out = 0;
    for (int i = 0; i < FIREWALL_PROFILES && used < size; i++) {
        if (profiles[i].blocks_outbound) {
            used += (size_t)snprintf(out + used, size - used, "%s%s%s", used ? ", " : "", profiles[i].name,
                                     profiles[i].by_policy ? " by policy" : "");
        }
    }
}

/* Why there is no permit; "" if there is. */
static void describe_permit(redirector *r, char *out, size_t size)
{
    uint32_t code = 0;
    const char *call;
    *out = 0;
    if (r->flags & REDIRECTOR_NO_FIREWALL_PERMIT) {
        snprintf(out, size, "it is off");
        return;
    }
    if (!r->permit) {
        snprintf(out, size, "no memory");
        return;
    }
    switch (firewall_permit_wait(r->permit, READY_WAIT_MS)) {
    case FIREWALL_PERMIT_HOLDS:
        break;
    case FIREWALL_PERMIT_WAITS:
        snprintf(out, size, "the Base Filtering Engine has not answered within a second");
        break;
    case FIREWALL_PERMIT_FAILED:
        call = firewall_permit_failure(r->permit, &code);
        snprintf(out, size, "%s failed (Windows error 0x%08lx)", call, (unsigned long)code);
        break;
    }
}

void firewall_ready(redirector *r)
{
    char profiles[80], missing[120];
    blocking_profiles(profiles, sizeof profiles);
    describe_permit(r, missing, sizeof missing);
    if (*profiles && *missing) {
        log_line(
            r->log, REDIRECTOR_LOG_WARN,
            "the firewall blocks outbound connections by default (%s), and there is no permit for packets that are "
            "sent on: %s. Programs that the firewall allows by name may lose connections",
            profiles, missing);
    } else if (*profiles) {
        log_line(
            r->log, REDIRECTOR_LOG_WARN,
            "the firewall blocks outbound connections by default (%s); packets that are sent on have a permit until "
            "stop",
            profiles);
    } else if (*missing && !(r->flags & REDIRECTOR_NO_FIREWALL_PERMIT)) {
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "there is no firewall permit for packets that are sent on: %s. It matters where outbound connections "
                 "are blocked by default",
                 missing);
    }
}

bool firewall_permit_holds(const redirector *r)
{
    return r->permit && firewall_permit_wait(r->permit, 0) == FIREWALL_PERMIT_HOLDS;
}

static void end(redirector *r, uint32_t wait_ms)
{
    firewall_permit_end(r->permit, wait_ms);
    r->permit = NULL;
}

void firewall_end(redirector *r)
{
    end(r, END_WAIT_MS);
}

void firewall_leave(redirector *r)
{
    end(r, 0);
}
