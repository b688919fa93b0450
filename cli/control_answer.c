/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the control channel answers: the connections that are open, and the counters. The rules: control_rules.c. */
#include "control.h"

#include "address.h"
#include "output.h"
#include "text.h"

#include <inttypes.h>
#include <stddef.h>
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

#define COUNTER(name) #name, offsetof(redirector_stats, name), sizeof(((redirector_stats *)0)->name)

static const struct {
    const char *name;
    size_t offset, size; /* 4 bytes or 8 */
} counters[] = {
    {COUNTER(flows_live)},
    {COUNTER(flows_total)},
    {COUNTER(flow_table_full)},
    {COUNTER(packets_seen)},
    {COUNTER(packets_passed)},
    {COUNTER(packets_rewritten)},
    {COUNTER(packets_held)},
    {COUNTER(packets_dropped)},
    {COUNTER(packets_malformed)},
    {COUNTER(proxy_not_listening)},
    {COUNTER(hold_timeouts)},
    {COUNTER(hold_overflows)},
    {COUNTER(send_errors)},
    {COUNTER(receive_errors)},
    {COUNTER(events_seen)},
    {COUNTER(lookups_hit)},
    {COUNTER(lookups_missed)},
    {COUNTER(log_lines_dropped)},
    {COUNTER(queue_delay_last_us)},
    {COUNTER(queue_delay_max_us)},
    {COUNTER(queue_delay_mean_us)},
    {COUNTER(capture_waits)},
    {COUNTER(filter_replacements)},
    {COUNTER(watchdog_trips)},
    {COUNTER(syns_forwarded)},
    {COUNTER(link_local_passed)},
    {COUNTER(capture_timeouts)},
    {COUNTER(self_connections)},
    {COUNTER(proxy_connections)},
    {COUNTER(decision_waits)},
    {COUNTER(decision_timeouts)},
    {COUNTER(decision_overflows)},
    {COUNTER(priority_shared)},
    {COUNTER(led_by_others)},
    {COUNTER(firewall_permit)},
    {COUNTER(members_forgotten)},
    {COUNTER(members_outside)},
    {COUNTER(tree_listeners)},
    {COUNTER(proofs)},
    {COUNTER(steering_replaced)},
    {COUNTER(handle_renewals)},
    {COUNTER(table_waits)},
    {COUNTER(table_timeouts)},
    {COUNTER(table_failures)},
    {COUNTER(agent_connections)},
    {COUNTER(loopback_passed)},
    {COUNTER(listener_overflows)},
    {COUNTER(processes_unknown)},
    {COUNTER(segments_cut)},
    {COUNTER(large_segments)},
    {COUNTER(udp_flows_live)},
    {COUNTER(udp_flows_total)},
    {COUNTER(udp_table_full)},
    {COUNTER(udp_packets_seen)},
    {COUNTER(udp_packets_passed)},
    {COUNTER(udp_packets_rewritten)},
    {COUNTER(udp_packets_held)},
    {COUNTER(udp_packets_dropped)},
    {COUNTER(udp_packets_malformed)},
    {COUNTER(udp_proxy_not_listening)},
    {COUNTER(udp_hold_timeouts)},
    {COUNTER(udp_hold_overflows)},
    {COUNTER(udp_fragments_passed)},
    {COUNTER(udp_errors_translated)},
    {COUNTER(udp_uncaptured)},
    {COUNTER(connections_blocked)},
    {COUNTER(udp_packets_blocked)},
};

static void add_stats(struct control_lines *l, bool json, struct report *report, redirector *r)
{
    redirector_stats s = {.size = sizeof s};
    if (redirector_get_stats(r, &s) != REDIRECTOR_OK) {
        return;
    }
    struct counters out = {.json = json};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)&s + counters[i].offset, counters[i].size);
        add_counter(l, &out, counters[i].name, value);
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
