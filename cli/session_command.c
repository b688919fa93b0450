/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A command from its arguments to its exit status. */
#include "session.h"

#include "output.h"

#include <stdlib.h>

/* Which commands have rules: those that redirect, and the one that shows whom they would. */
static DWORD work_with_rules(struct options *o, DWORD (*work)(struct options *o))
{
    if (!(o->command & (COMMAND_RUN | COMMAND_ATTACH | COMMAND_PS))) {
        return work(o);
    }
    o->in_force = rules_state_open(o->rules_path, o->rules, o->rule_count);
    DWORD status = o->in_force ? work(o) : EXIT_USAGE;
    rules_state_close(o->in_force);
    return status;
}

DWORD session_command(enum command_id command, wchar_t **arguments, DWORD (*work)(struct options *o))
{
    struct options *o = malloc(sizeof *o);
    DWORD status = EXIT_USAGE;
    if (!o) {
        output_message("out of memory");
        return EXIT_NOT_REDIRECTING;
    }
    switch (options_read(command, arguments, o)) {
    case OPTIONS_OK:
        status = work_with_rules(o, work);
        break;
    case OPTIONS_HELP:
        output_text(options_help);
        status = 0;
        break;
    case OPTIONS_WRONG:
        break;
    }
    options_free(o);
    free(o);
    return status;
}
