/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lines of the report for a person: local time, columns that mostly align, exact numbers. */
#include "report.h"

#include "address.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <windows.h>

void report_where(char *out, size_t size, const struct report_connection *c)
{
    char address[ADDRESS_TEXT_MAX];
    if (*c->host && !c->incoming) {
        bool has_port = false; /* a Host header may name the port, too */
        for (const char *at = c->host; *at; at++) {
            has_port |= *at == ':';
        }
        if (has_port) {
            snprintf(out, size, "%s", c->host);
        } else {
            snprintf(out, size, "%s:%" PRIu32, c->host, c->destination.port);
        }
        return;
    }
    address_text(address, &c->destination);
    snprintf(out, size, "%s", address);
}

void report_text_connection(char *out, size_t size, const struct report_connection *c)
{
    char name[3 * 260], process[3 * 260 + 16], destination[ADDRESS_TEXT_MAX], more[HOST_NAME_MAX_BYTES + 256] = "";
    FILETIME time = {.dwLowDateTime = (DWORD)c->end_time, .dwHighDateTime = (DWORD)(c->end_time >> 32)};
    SYSTEMTIME utc = {0}, t = {0};
    FileTimeToSystemTime(&time, &utc);
    SystemTimeToTzSpecificLocalTime(NULL, &utc, &t);
    text_copy_utf8(name, sizeof name, *c->process ? c->process : L"?");
    snprintf(process, sizeof process, "%s(%" PRIu32 ")", name, c->pid);
    address_text(destination, &c->destination);
    int used = 0;
    if (c->os_error) {
        used += snprintf(more, sizeof more, " (error %" PRIu32 ")", c->os_error);
    }
    if (*c->host) {
        used += snprintf(more + used, sizeof more - (size_t)used, "  %s", c->host);
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

void report_text_summary(char *out, size_t size, const struct report_totals *t)
{
    char lost[64] = "";
    if (t->lines_dropped) {
        snprintf(lost, sizeof lost, ", %" PRIu64 " not shown (output too slow)", t->lines_dropped);
    }
    snprintf(out, size,
             "redirector: %" PRIu64 " connection%s, %" PRIu64 " byte%s up, %" PRIu64 " byte%s down, %" PRIu64
             " failed, %" PRIu64 " unknown peer%s%s",
             t->connections, plural(t->connections), t->bytes_up, plural(t->bytes_up), t->bytes_down,
             plural(t->bytes_down), t->failed, t->unknown_peers, plural(t->unknown_peers), lost);
}
