/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector doctor. A finding is a line: whether it is right, what was checked, and the result; if it is not right, a
 * second line has the advice. First the state of the machine is read; then connections are redirected, as the proof.
 */
#include "doctor.h"

#include "doctor_report.h"
#include "json.h"
#include "output.h"
#include "session.h"

#include <stdio.h>

static bool as_json;
static unsigned wrong_count;

void doctor_found(enum finding state, const char *what, const char *detail, const char *advice)
{
    static const char *const names[] = {"ok", "note", "wrong"}, *const marks[] = {"ok", "note", "WRONG"};
    char line[OUTPUT_LINE_MAX], detail_json[1500], advice_json[1500];
    wrong_count += state == FINDING_WRONG;
    doctor_item("findings");
    doctor_own_text("state", "%s", names[state]);
    doctor_own_text("what", "%s", what);
    doctor_text("detail", detail);
    doctor_own_text("advice", "%s", advice);
    if (as_json) {
        json_string_utf8(detail_json, sizeof detail_json, detail);
        json_string_utf8(advice_json, sizeof advice_json, advice);
        snprintf(line, sizeof line,
                 "{\"type\":\"finding\",\"state\":\"%s\",\"what\":\"%s\",\"detail\":%s,\"advice\":%s}", names[state],
                 what, detail_json, advice_json);
        output_result(line);
        return;
    }
    snprintf(line, sizeof line, *detail ? "%-6s %-28s %s" : "%-6s %s", marks[state], what, detail);
    output_result(line);
    if (*advice) {
        snprintf(line, sizeof line, "       -> %s", advice);
        output_result(line);
    }
}

static DWORD doctor_with_options(struct options *o)
{
    WSADATA data;
    as_json = o->json;
    WSAStartup(MAKEWORD(2, 2), &data);
    if (o->report_path) {
        doctor_report_begin();
        doctor_tell_system();
        doctor_tell_adapters();
    }
    doctor_check_machine(o);
    doctor_check_driver(o);
    doctor_try_all(o);
    WSACleanup();
    if (o->report_path && !doctor_report_write(o->report_path)) {
        return EXIT_USAGE;
    }
    if (!as_json) {
        output_result(wrong_count ? "This machine cannot redirect yet: see the lines marked WRONG."
                                  : "This machine can redirect.");
    }
    return wrong_count ? EXIT_FOUND_WRONG : 0;
}

DWORD doctor_command(wchar_t **arguments)
{
    return session_command(COMMAND_DOCTOR, arguments, doctor_with_options);
}
