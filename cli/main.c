/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector.exe: finds the command and hands over. Each command is a file of its own, with a function that takes the
 * arguments after the command's name and returns the exit status.
 *
 *   main -> options       what the user wants
 *        -> run           one life: child, relay, redirector, in this order, and back
 *           -> child      the program to start
 *           -> relay      the local proxy: relay_conn is one connection
 *           -> console    Ctrl-C and its like
 *           -> report     a line per connection, a summary
 *           -> output     every line that a person sees
 */
#include "options.h"
#include "output.h"
#include "run.h"
#include "text.h"
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
    {L"run", run_command},
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
        if (wcscmp(argv[1], commands[i].name) == 0)
            return (int)commands[i].execute(argv + 2);
    }
    char name[512];
    text_copy_utf8(name, sizeof name, argv[1]);
    output_message("there is no command '%s'; see redirector --help", name);
    return EXIT_USAGE;
}
