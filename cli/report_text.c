/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lines of the report for a person: local time, columns that mostly align, exact numbers. */
#include "report.h"

#include "address.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <windows.h>

/* Behind a port, where it is none of TCP's. */
static const char *kind(const struct report_connection *c)
{
    return c->protocol == REDIRECTOR_UDP ? "/udp" : "";
}

void report_where(char *out, size_t size, const struct report_connection *c)
{
    char address[ADDRESS_TEXT_MAX];
    if (*c->host && !c->incoming) {
        bool has_port = false; /* a Host header may name the port, too */
        for (const char *at = c->host; *at; at++) {
            has_port |= *at == ':';
        }
        if (has_port) {
            snprintf(out, size, "%s%s", c->host, kind(c));
        } else {
            snprintf(out, size, "%s:%" PRIu32 "%s", c->host, c->destination.port, kind(c));
        }
        return;
    }
    address_text(address, &c->destination);
    snprintf(out, size, "%s%s%s%s", address, kind(c), *c->dns ? " " : "", c->dns);
}

void report_text_connection(char *out, size_t size, const struct report_connection *c)
{
    char name[3 * 260], process[3 * 260 + 16], destination[ADDRESS_TEXT_MAX + 4];
    char address[ADDRESS_TEXT_MAX], more[HOST_NAME_MAX_BYTES + REPORT_DNS_MAX + 256] = "";
    FILETIME time = {.dwLowDateTime = (DWORD)c->end_time, .dwHighDateTime = (DWORD)(c->end_time >> 32)};
    SYSTEMTIME utc = {0}, t = {0};
    FileTimeToSystemTime(&time, &utc);
    SystemTimeToTzSpecificLocalTime(NULL, &utc, &t);
    text_copy_utf8(name, sizeof name, *c->process ? c->process : L"?");
    snprintf(process, sizeof process, "%s(%" PRIu32 ")", name, c->pid);
    address_text(address, &c->destination);
    snprintf(destination, sizeof destination, "%s%s", address, kind(c));
    int used = 0;
    if (c->os_error) {
        used += snprintf(more, sizeof more, " (error %" PRIu32 ")", c->os_error);
    }
    if (*c->host) {
        used += snprintf(more + used, sizeof more - (size_t)used, "  %s", c->host);
    }
    if (*c->dns) {
        used += snprintf(more + used, sizeof more - (size_t)used, "  %s", c->dns);
    }
    if (*c->upstream) {
        used += snprintf(more + used, sizeof more - (size_t)used, "  via %s", c->upstream);
    }
    if (c->incoming) {
        char peer[ADDRESS_TEXT_MAX];
        address_text(peer, &c->peer);
        snprintf(more + used, sizeof more - (size_t)used, "  from %s", peer);
    }
    snprintf(out, size, "%02u:%02u:%02u.%03u  %-22s  %-24s  up %" PRIu64 "  down %" PRIu64 "  %" PRIu64 ".%03u s  %s%s",
             t.wHour, t.wMinute, t.wSecond, t.wMilliseconds, process, destination, c->bytes_up, c->bytes_down,
             c->duration_us / 1000000, (unsigned)(c->duration_us / 1000 % 1000), report_outcome_text(c->outcome), more);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* What was not passed on of datagrams, where there is any. */
static void put_datagrams(char *out, size_t size, const struct report_totals *t)
{
    static const char *const texts[] = {
        [REPORT_UDP_STRANGER] = "from unknown peers", [REPORT_UDP_INVALID] = "invalid from a proxy",
        [REPORT_UDP_LOST] = "not passed on",          [REPORT_UDP_BLOCKED] = "blocked",
        [REPORT_UDP_EVICTED] = "cut short",
    };
    int used = 0;
    *out = '\0';
    for (int i = 0; i < REPORT_DATAGRAMS_KINDS; i++) {
        if (t->datagrams[i]) {
            used += snprintf(out + used, size - (size_t)used, ", %" PRIu64 " UDP %s%s %s", t->datagrams[i],
                             i == REPORT_UDP_EVICTED ? "flow" : "datagram", plural(t->datagrams[i]), texts[i]);
        }
    }
}

void report_text_summary(char *out, size_t size, const struct report_totals *t)
{
    char lost[64] = "", datagrams[512];
    put_datagrams(datagrams, sizeof datagrams, t);
    if (t->lines_dropped) {
        snprintf(lost, sizeof lost, ", %" PRIu64 " not shown (output too slow)", t->lines_dropped);
    }
    snprintf(out, size,
             "redirector: %" PRIu64 " connection%s, %" PRIu64 " byte%s up, %" PRIu64 " byte%s down, %" PRIu64
             " failed, %" PRIu64 " unknown peer%s%s%s",
             t->connections, plural(t->connections), t->bytes_up, plural(t->bytes_up), t->bytes_down,
             plural(t->bytes_down), t->failed, t->unknown_peers, plural(t->unknown_peers), datagrams, lost);
}
