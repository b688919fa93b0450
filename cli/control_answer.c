/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the control channel answers: the connections that are open, and the counters. The rules: control_rules.c. */
#include "control.h"

#include "address.h"
#include "output.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void control_add(struct control_lines *l, const char *line)
{
    size_t length = strlen(line);
    if (l->text && l->used + length + 2 > l->room) {
        l->room = 2 * (l->used + length + 2);
        char *larger = realloc(l->text, l->room);
        if (!larger) {
            free(l->text);
        }
        l->text = larger;
    }
    if (!l->text) {
        return;
    }
    memcpy(l->text + l->used, line, length);
    l->used += length;
    l->text[l->used++] = '\n';
    l->text[l->used] = '\0';
}

static void text_row(char *out, size_t size, const struct report_connection *c)
{
    char name[3 * 260], process[3 * 260 + 16], where[HOST_NAME_MAX_BYTES + REPORT_DNS_MAX],
        peer[ADDRESS_TEXT_MAX + 8] = "";
    text_copy_utf8(name, sizeof name, *c->process ? c->process : L"?");
    snprintf(process, sizeof process, "%s(%" PRIu32 ")", name, c->pid);
    report_where(where, sizeof where, c);
    if (c->incoming) {
        char address[ADDRESS_TEXT_MAX];
        address_text(address, &c->peer);
        snprintf(peer, sizeof peer, "  from %s", address);
    }
    snprintf(out, size, "%-24s  %-32s  %12" PRIu64 "  %12" PRIu64 "  %8" PRIu64 "s%s", process, where, c->bytes_up,
             c->bytes_down, c->duration_us / 1000000, peer);
}

static void add_flows(struct control_lines *l, bool json, struct report *report)
{
    struct report_totals totals;
    char line[OUTPUT_LINE_MAX];
    report_snapshot(report, NULL, 0, &totals);
    size_t max = (size_t)totals.live + 64;
    struct report_connection *rows = calloc(max, sizeof *rows);
    size_t count = rows ? report_snapshot(report, rows, max, &totals) : 0;
    if (!json) {
        snprintf(line, sizeof line, "%-24s  %-32s  %12s  %12s  %9s", "process(pid)", "destination", "bytes up",
                 "bytes down", "age");
        control_add(l, line);
    }
    for (size_t i = 0; i < count && rows[i].outcome == REPORT_OPEN; i++) {
        if (json) {
            report_json_connection(line, sizeof line, &rows[i]);
        } else {
            text_row(line, sizeof line, &rows[i]);
        }
        control_add(l, line);
    }
    free(rows);
}

/* The object of JSON as far as it is written, or the last line of text. */
struct counters {
    bool json;
    size_t used;
    char line[OUTPUT_LINE_MAX];
};

static void add_counter(struct control_lines *l, struct counters *out, const char *name, uint64_t value)
{
    if (!out->json) {
        snprintf(out->line, sizeof out->line, "%-23s %14" PRIu64, name, value);
        control_add(l, out->line);
        return;
    }
    out->used += (size_t)snprintf(out->line + out->used, sizeof out->line - out->used, "%s,\"%s\":%" PRIu64,
                                  out->used ? "" : "{\"type\":\"stats\"", name, value);
}

static void add_relays_counters(struct control_lines *l, struct counters *out, struct report *report)
{
    struct report_totals totals;
    report_snapshot(report, NULL, 0, &totals);
    for (int i = 0; i < REPORT_DATAGRAMS_KINDS; i++) {
        add_counter(l, out, report_datagrams_name((enum report_datagrams)i), totals.datagrams[i]);
    }
}

static void add_stats(struct control_lines *l, bool json, struct report *report, redirector *r)
{
    redirector_stats s = {.size = sizeof s};
    if (redirector_get_stats(r, &s) != REDIRECTOR_OK) {
        return;
    }
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"flows_live", s.flows_live},
        {"flows_total", s.flows_total},
        {"flow_table_full", s.flow_table_full},
        {"packets_seen", s.packets_seen},
        {"packets_passed", s.packets_passed},
        {"packets_rewritten", s.packets_rewritten},
        {"packets_held", s.packets_held},
        {"packets_dropped", s.packets_dropped},
        {"packets_malformed", s.packets_malformed},
        {"proxy_not_listening", s.proxy_not_listening},
        {"hold_timeouts", s.hold_timeouts},
        {"hold_overflows", s.hold_overflows},
        {"send_errors", s.send_errors},
        {"receive_errors", s.receive_errors},
        {"events_seen", s.events_seen},
        {"lookups_hit", s.lookups_hit},
        {"lookups_missed", s.lookups_missed},
        {"log_lines_dropped", s.log_lines_dropped},
        {"queue_delay_last_us", s.queue_delay_last_us},
        {"queue_delay_max_us", s.queue_delay_max_us},
        {"queue_delay_mean_us", s.queue_delay_mean_us},
        {"capture_waits", s.capture_waits},
        {"filter_replacements", s.filter_replacements},
        {"watchdog_trips", s.watchdog_trips},
        {"syns_forwarded", s.syns_forwarded},
        {"link_local_passed", s.link_local_passed},
        {"capture_timeouts", s.capture_timeouts},
        {"self_connections", s.self_connections},
        {"proxy_connections", s.proxy_connections},
        {"decision_waits", s.decision_waits},
        {"decision_timeouts", s.decision_timeouts},
        {"decision_overflows", s.decision_overflows},
        {"priority_shared", s.priority_shared},
        {"led_by_others", s.led_by_others},
        {"firewall_permit", s.firewall_permit},
        {"members_forgotten", s.members_forgotten},
        {"members_outside", s.members_outside},
        {"tree_listeners", s.tree_listeners},
        {"proofs", s.proofs},
        {"steering_replaced", s.steering_replaced},
        {"handle_renewals", s.handle_renewals},
        {"table_waits", s.table_waits},
        {"table_timeouts", s.table_timeouts},
        {"table_failures", s.table_failures},
        {"agent_connections", s.agent_connections},
        {"loopback_passed", s.loopback_passed},
        {"listener_overflows", s.listener_overflows},
        {"processes_unknown", s.processes_unknown},
        {"segments_cut", s.segments_cut},
        {"large_segments", s.large_segments},
        {"udp_flows_live", s.udp_flows_live},
        {"udp_flows_total", s.udp_flows_total},
        {"udp_table_full", s.udp_table_full},
        {"udp_packets_seen", s.udp_packets_seen},
        {"udp_packets_passed", s.udp_packets_passed},
        {"udp_packets_rewritten", s.udp_packets_rewritten},
        {"udp_packets_held", s.udp_packets_held},
        {"udp_packets_dropped", s.udp_packets_dropped},
        {"udp_packets_malformed", s.udp_packets_malformed},
        {"udp_proxy_not_listening", s.udp_proxy_not_listening},
        {"udp_hold_timeouts", s.udp_hold_timeouts},
        {"udp_hold_overflows", s.udp_hold_overflows},
        {"udp_fragments_passed", s.udp_fragments_passed},
        {"udp_errors_translated", s.udp_errors_translated},
        {"udp_uncaptured", s.udp_uncaptured},
        {"connections_blocked", s.connections_blocked},
        {"udp_packets_blocked", s.udp_packets_blocked},
    };
    struct counters out = {.json = json};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        add_counter(l, &out, counters[i].name, counters[i].value);
    }
    add_relays_counters(l, &out, report);
    if (json) {
        snprintf(out.line + out.used, sizeof out.line - out.used, "}");
        control_add(l, out.line);
    }
}

char *control_answer(const char *request, size_t size, const struct control_subject *about)
{
    struct control_lines l = {.text = calloc(1, 1), .room = 1};
    if (strcmp(request, "flows json") == 0 || strcmp(request, "flows text") == 0) {
        add_flows(&l, request[6] == 'j', about->report);
    } else if (strcmp(request, "stats json") == 0 || strcmp(request, "stats text") == 0) {
        add_stats(&l, request[6] == 'j', about->report, about->redirector);
    } else if (strncmp(request, "rules ", 6) == 0) {
        control_rules(&l, request, size, about);
    }
    return l.text;
}
