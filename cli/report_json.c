/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lines of the report for a program: docs/json.md describes each field, docs/events.schema.json is its schema. */
#include "report.h"

#include "address.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NAME_BYTES = 6 * 260 + 3,
    HOST_BYTES = HOST_NAME_MAX_BYTES + 3,
    DNS_BYTES = 6 * REPORT_DNS_MAX + 3
}; /* each unit as \uXXXX, quotes, NUL */

void report_json_connection(char *out, size_t size, const struct report_connection *c)
{
    char time[JSON_TIME_MAX], name[NAME_BYTES], ip[ADDRESS_TEXT_MAX], host[HOST_BYTES], dns[DNS_BYTES];
    char upstream[72];
    char peer[ADDRESS_TEXT_MAX + 48] = "", end[192] = "";
    json_time(time, c->end_time);
    json_string(name, sizeof name, c->process);
    json_string_utf8(host, sizeof host, c->host);
    json_string_utf8(dns, sizeof dns, c->dns);
    json_string_utf8(upstream, sizeof upstream, c->upstream);
    address_ip_text(ip, &c->destination);
    if (c->incoming) {
        char from[ADDRESS_TEXT_MAX];
        address_ip_text(from, &c->peer);
        snprintf(peer, sizeof peer, ",\"peer\":\"%s\",\"peer_port\":%" PRIu32, from, c->peer.port);
    }
    if (c->outcome != REPORT_OPEN) {
        int used = snprintf(end, sizeof end, ",\"outcome\":\"%s\"", report_outcome_text(c->outcome));
        if (c->os_error) {
            snprintf(end + used, sizeof end - (size_t)used, ",\"os_error\":%" PRIu32, c->os_error);
        }
    }
    snprintf(out, size,
             "{\"type\":\"%s\",\"time\":\"%s\",\"number\":%" PRIu64 ",\"process\":%s,\"pid\":%" PRIu32
             ",\"protocol\":\"%s\",\"direction\":\"%s\",\"destination\":\"%s\",\"port\":%" PRIu32
             "%s,\"host\":%s,\"dns\":%s,\"upstream\":%s"
             ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64 ",\"duration_ms\":%" PRIu64 ".%03u%s}",
             c->outcome == REPORT_OPEN ? "open" : "connection", time, c->number, name, c->pid,
             c->protocol == REDIRECTOR_UDP ? "udp" : "tcp", c->incoming ? "in" : "out", ip, c->destination.port, peer,
             host, dns, upstream, c->bytes_up, c->bytes_down, c->duration_us / 1000, (unsigned)(c->duration_us % 1000),
             end);
}

void report_json_summary(char *out, size_t size, const struct report_totals *t)
{
    int used =
        snprintf(out, size,
                 "{\"type\":\"summary\",\"connections\":%" PRIu64 ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64
                 ",\"failed\":%" PRIu64 ",\"unknown_peers\":%" PRIu64 ",\"lines_dropped\":%" PRIu64,
                 t->connections, t->bytes_up, t->bytes_down, t->failed, t->unknown_peers, t->lines_dropped);
    for (int i = 0; i < REPORT_DATAGRAMS_KINDS; i++) {
        used += snprintf(out + used, size - (size_t)used, ",\"%s\":%" PRIu64,
                         report_datagrams_name((enum report_datagrams)i), t->datagrams[i]);
    }
    snprintf(out + used, size - (size_t)used, "}");
}
