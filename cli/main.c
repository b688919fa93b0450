/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector.exe: finds the command and calls it. Each command is a file of its own, with a function that takes the
 * arguments after the command's name and returns the exit status.
 *
 *   options, help            what the user wants
 *   run, attach              the processes: child, processes, tree
 *   session                  redirection from start to end, set up in order and undone in reverse:
 *     relay, dial, upstream    the local proxy, connections in the making, and the proxies that it connects through
 *     report                   every connection: lines (report_text, report_json), live list (live),
 *                              control channel (control), file of packets (capture)
 *     watch                    fills the report where the proxy is the user's own
 *     quic                     makes programs use TCP
 *   rules_state                the rules in force; rules_watch follows their file, hosts_file has names for them
 *   rules_command              files of rules: rules_load, rules_file (their text), rules_show, ppx (of Proxifier)
 *   ps, query, doctor, unload   the other commands
 *   console                  Ctrl-C and other console events
 *   output                   every line that is shown
 */
#include "control.h"
#include "doctor.h"
#include "bench.h"
#include "options.h"
#include "output.h"
#include "ps.h"
#include "rules_command.h"
#include "run.h"
#include "text.h"
#include "unload.h"
#include "windows_redirector.h"

#include <wchar.h>
#include <windows.h>

/* Read by the C runtime at start: arguments are to reach the program as typed, with "*" not replaced by file names. */
extern int _dowildcard;
int _dowildcard = 0;

static const struct command {
    const wchar_t *name;
    DWORD (*execute)(wchar_t **arguments);
} commands[] = {
    {L"run", run_command},     {L"attach", attach_command}, {L"ps", ps_command},
    {L"flows", flows_command}, {L"stats", stats_command},   {L"doctor", doctor_command},
    {L"bench", bench_command}, {L"unload", unload_command}, {L"doctor-connect", doctor_connect_command},
    {L"check", check_command}, {L"import", import_command}, {L"explain", explain_command},
    {L"rules", rules_command},
};

int wmain(int argc, wchar_t **argv)
{
    if (argc < 2) {
        output_message("no command given; see redirector --help");
        return EXIT_USAGE;
    }
    if (wcscmp(argv[1], L"--help") == 0) {
        output_text(options_help);
        return 0;
    }
    if (wcscmp(argv[1], L"--version") == 0) {
        output_text("redirector ");
        output_text(redirector_version());
        output_text("\n");
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (wcscmp(argv[1], commands[i].name) == 0) {
            return (int)commands[i].execute(argv + 2);
        }
    }
    char name[512];
    text_copy_utf8(name, sizeof name, argv[1]);
    output_message("there is no command '%s'; see redirector --help", name);
    return EXIT_USAGE;
}
