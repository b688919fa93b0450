/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The lines of the report. For a person: local time, columns that mostly align, exact numbers. For a program: JSON with
 * UTC time. In JSON a hostile name is escaped, not replaced, so nothing is lost and nothing raw reaches a terminal.
 */
#include "output.h"
#include "report.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

enum {
    ADDRESS_MAX = 64,
    NAME_MAX_BYTES = 6 * 260 + 3, /* each unit as \uXXXX, quotes, NUL */
};

static const char *outcome_text(report_outcome outcome)
{
    static const char *const texts[] = {
#define REPORT_OUTCOME_TEXT(name, text, failed) [REPORT_##name] = (text),
        REPORT_OUTCOME_LIST(REPORT_OUTCOME_TEXT)
#undef REPORT_OUTCOME_TEXT
    };
    return texts[outcome];
}

static void format_ip(char out[ADDRESS_MAX], const redirector_address *address)
{
    if (!inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, out, ADDRESS_MAX))
        snprintf(out, ADDRESS_MAX, "?");
}

static SYSTEMTIME split_time(uint64_t filetime)
{
    FILETIME time = {.dwLowDateTime = (DWORD)filetime, .dwHighDateTime = (DWORD)(filetime >> 32)};
    SYSTEMTIME split = {0};
    FileTimeToSystemTime(&time, &split);
    return split;
}

/* A JSON string, quotes included; null for an empty one. `out` holds NAME_MAX_BYTES. */
static void format_json_name(char *out, const wchar_t *name)
{
    if (!*name) {
        snprintf(out, NAME_MAX_BYTES, "null");
        return;
    }
    char *end = out;
    *end++ = '"';
    while (*name) {
        wchar_t units[3] = {*name++};
        if (units[0] == L'"' || units[0] == L'\\' || text_is_hostile(units[0])) {
            end += snprintf(end, 7, "\\u%04x", (unsigned)units[0]);
            continue;
        }
        if (IS_SURROGATE_PAIR(units[0], *name))
            units[1] = *name++;
        text_copy_utf8(end, 5, units);
        while (*end)
            end++;
    }
    *end++ = '"';
    *end = '\0';
}

static void format_connection_json(char *out, size_t size, const report_connection *c)
{
    char ip[ADDRESS_MAX], name[NAME_MAX_BYTES], error[32] = "";
    format_ip(ip, &c->destination);
    format_json_name(name, c->process);
    SYSTEMTIME t = split_time(c->end_time);
    if (c->os_error)
        snprintf(error, sizeof error, ",\"os_error\":%" PRIu32, c->os_error);
    snprintf(out, size,
             "{\"type\":\"connection\",\"time\":\"%04u-%02u-%02uT%02u:%02u:%02u.%03uZ\",\"process\":%s,\"pid\":%" PRIu32
             ",\"destination\":\"%s\",\"port\":%" PRIu32 ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64
             ",\"duration_ms\":%" PRIu64 ".%03u,\"outcome\":\"%s\"%s}",
             t.wYear, t.wMonth, t.wDay, t.wHour, t.wMinute, t.wSecond, t.wMilliseconds, name, c->pid, ip,
             c->destination.port, c->bytes_up, c->bytes_down, c->duration_us / 1000, (unsigned)(c->duration_us % 1000),
             outcome_text(c->outcome), error);
}

static void format_connection_text(char *out, size_t size, const report_connection *c)
{
    char ip[ADDRESS_MAX], name[3 * 260], process[3 * 260 + 16], destination[ADDRESS_MAX + 16], error[32] = "";
    SYSTEMTIME utc = split_time(c->end_time), t = utc;
    SystemTimeToTzSpecificLocalTime(NULL, &utc, &t);
    text_copy_utf8(name, sizeof name, *c->process ? c->process : L"?");
    snprintf(process, sizeof process, "%s(%" PRIu32 ")", name, c->pid);
    format_ip(ip, &c->destination);
    snprintf(destination, sizeof destination, c->destination.family == 6 ? "[%s]:%" PRIu32 : "%s:%" PRIu32, ip,
             c->destination.port);
    if (c->os_error)
        snprintf(error, sizeof error, " (error %" PRIu32 ")", c->os_error);
    snprintf(out, size, "%02u:%02u:%02u.%03u  %-22s  %-24s  up %" PRIu64 "  down %" PRIu64 "  %" PRIu64 ".%03u s  %s%s",
             t.wHour, t.wMinute, t.wSecond, t.wMilliseconds, process, destination, c->bytes_up, c->bytes_down,
             c->duration_us / 1000000, (unsigned)(c->duration_us / 1000 % 1000), outcome_text(c->outcome), error);
}

void report_format_connection(char *out, size_t size, const report_connection *connection, bool json)
{
    if (json)
        format_connection_json(out, size, connection);
    else
        format_connection_text(out, size, connection);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void report_format_summary(char *out, size_t size, const report_totals *t, bool json)
{
    if (json) {
        snprintf(out, size,
                 "{\"type\":\"summary\",\"connections\":%" PRIu64 ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64
                 ",\"failed\":%" PRIu64 ",\"strangers\":%" PRIu64 ",\"lines_lost\":%" PRIu64 "}",
                 t->connections, t->bytes_up, t->bytes_down, t->failed, t->strangers, t->lines_lost);
        return;
    }
    char lost[64] = "";
    if (t->lines_lost)
        snprintf(lost, sizeof lost, ", %" PRIu64 " not shown (output too slow)", t->lines_lost);
    snprintf(out, size,
             "redirector: %" PRIu64 " connection%s, %" PRIu64 " byte%s up, %" PRIu64 " byte%s down, %" PRIu64
             " failed, %" PRIu64 " stranger%s%s",
             t->connections, plural(t->connections), t->bytes_up, plural(t->bytes_up), t->bytes_down,
             plural(t->bytes_down), t->failed, t->strangers, plural(t->strangers), lost);
}
