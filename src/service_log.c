/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "service_log.h"

#include "roots.h"
#include "statistics.h"

#include <stdio.h>

void service_log_start(redirector *r, const redirector_config *config, const struct roots *roots)
{
    char who[40], ways[120] = "";
    size_t used = 0;
    const struct {
        const char *what;
        uint32_t port;
    } all[] = {{"connections", config->proxy_port},
               {"connections that come in", config->incoming_port},
               {"datagrams", config->udp_port}};
    roots_describe(roots, who);
    for (int i = 0; i < 3; i++) {
        if (all[i].port) {
            used += (size_t)snprintf(ways + used, sizeof ways - used, "%s%s go to port %lu", used ? ", " : "",
                                     all[i].what, (unsigned long)all[i].port);
        }
    }
    log_line(r->log, REDIRECTOR_LOG_INFO, "started: of %s%s descendants, %s of agent %lu", who,
             config->flags & REDIRECTOR_DESCENDANTS_ONLY ? "'s" : " and its", ways, (unsigned long)config->agent_pid);
}

void service_log_claim(redirector *r, enum divert_claim_result result, const struct divert_claim *claim)
{
    if (result != DIVERT_CLAIM_OWN) {
        atomic_store(&r->priority_shared, 1);
        log_line(r->log, REDIRECTOR_LOG_WARN, "%s: of two redirectors at the same priority one may redirect nothing",
                 result == DIVERT_CLAIM_NO_ROOM ? "there are too many redirectors for priorities of one's own"
                                                : "the driver does not tell who else uses it");
    } else if (claim->inner_pid) {
        log_line(r->log, REDIRECTOR_LOG_WARN,
                 "a redirector that belongs to this tree (process %lu) leads the connections that both would redirect",
                 (unsigned long)claim->inner_pid);
    } else if (claim->others) {
        log_line(r->log, REDIRECTOR_LOG_INFO,
                 "other redirectors run (%lu); this one leads the connections that it and they would redirect",
                 (unsigned long)claim->others);
    }
}

void service_log_end(redirector *r)
{
    redirector_stats s;
    statistics_counters(r, &s);
    log_line(r->log, REDIRECTOR_LOG_INFO,
             "stopped: %llu connections redirected, %llu packets seen, %llu passed, %llu rewritten, %llu dropped",
             (unsigned long long)s.flows_total, (unsigned long long)s.packets_seen,
             (unsigned long long)s.packets_passed, (unsigned long long)s.packets_rewritten,
             (unsigned long long)s.packets_dropped);
    if (r->udp_table.reader) {
        log_line(r->log, REDIRECTOR_LOG_INFO,
                 "of UDP: %llu flows redirected, %llu packets seen, %llu passed, %llu rewritten, %llu dropped",
                 (unsigned long long)s.udp_flows_total, (unsigned long long)s.udp_packets_seen,
                 (unsigned long long)s.udp_packets_passed, (unsigned long long)s.udp_packets_rewritten,
                 (unsigned long long)s.udp_packets_dropped);
    }
}
