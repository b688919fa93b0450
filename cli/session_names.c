/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What of a session hangs on the names that are in its rules. */
#include "session_names.h"

#include "processes.h"

#include <windows.h>

bool session_waits_for_names(const struct options *o)
{
    bool running = false;
    struct process_list list;
    struct rules_in_force *f = rules_state_take(o->in_force);
    bool named = o->command != COMMAND_RUN && processes_any_meant(f->rules, f->count);
    if (!named || !o->until_exit || !processes_read(&list)) {
        rules_release(f);
        return named && !o->until_exit;
    }
    for (size_t i = 0; i < list.count && !running; i++) {
        const redirector_rule *rule;
        running = list.rows[i].pid != GetCurrentProcessId() &&
                  processes_judge(&list.rows[i], f->rules, f->count, false, &rule);
    }
    processes_free(&list);
    rules_release(f);
    return running;
}

bool session_lacks_names(const struct options *o)
{
    return options_udp(o) != UDP_RELAY && rules_state_names_hosts(o->in_force);
}
