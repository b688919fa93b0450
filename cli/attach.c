/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector attach. The roots are the processes given by id, and the running ones whose name matches. Processes with a
 * matching name that start later are included by the rule of the name. It ends when all have ended, or by Ctrl-C.
 */
#include "run.h"

#include "options.h"
#include "output.h"
#include "privilege.h"
#include "processes.h"
#include "session.h"

#include <stdlib.h>

/* False: a message was shown. Those whose name was given, and not their id, may have ended meanwhile. */
static bool open_roots(struct tree *t, const struct options *o, const uint32_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        HANDLE process = tree_open(pids[i]);
        DWORD error = process ? NO_ERROR : GetLastError();
        bool ended = process ? WaitForSingleObject(process, 0) == WAIT_OBJECT_0 : error != ERROR_ACCESS_DENIED;
        if (process && ended) {
            CloseHandle(process);
        }
        if (ended && i >= o->pid_count) {
            continue;
        }
        if (!process || ended) {
            output_message(process ? "process %u has ended; redirector ps shows what runs"
                           : ended ? "there is no process %u; redirector ps shows what runs"
                                   : "process %u cannot be opened; run as Administrator",
                           pids[i]);
            return false;
        }
        if (!tree_add(t, process)) {
            output_message("out of memory");
            return false;
        }
    }
    if (!t->count) {
        output_message("the processes of that name have ended; redirector ps shows what runs");
        return false;
    }
    tree_add_running(t);
    return true;
}

/* All roots, to be freed; NULL: there are none, and a message was shown. */
static uint32_t *find_roots(const struct options *o, uint32_t *count)
{
    struct process_list list;
    if (!processes_read(&list)) {
        output_message("the list of processes cannot be had (error %lu)", GetLastError());
        return NULL;
    }
    struct rules_in_force *f = rules_state_take(o->in_force);
    uint32_t *pids = processes_named(&list, f->rules, f->count, o->pids, o->pid_count, count);
    rules_release(f);
    processes_free(&list);
    if (!pids || !*count) {
        output_message(pids ? "no process of that name runs; redirector ps shows what runs" : "out of memory");
        free(pids);
        return NULL;
    }
    return pids;
}

static DWORD redirect(struct options *o, const struct tree *t)
{
    DWORD status;
    struct session *s = session_open(o, true, &status);
    if (!s) {
        return status;
    }
    status = session_start(s, t);
    bool started = !status;
    if (started) {
        uint32_t count = 0;
        free(tree_roots(t, &count));
        output_message("redirecting %u process%s and what %s start%s; Ctrl-C ends it", count, count == 1 ? "" : "es",
                       count == 1 ? "it" : "they", count == 1 ? "s" : "");
        session_wait(s, false);
    }
    session_close(s, started);
    return status;
}

/* Whether programs are named at all. */
static bool names_programs(const struct options *o)
{
    struct rules_in_force *f = rules_state_take(o->in_force);
    bool named = o->pid_count || processes_any_meant(f->rules, f->count);
    rules_release(f);
    if (!named) {
        output_message("attach needs to know which programs: by --pid, --name, or a line of the rules such as "
                       "'redirect program chrome.exe'");
    }
    return named;
}

static DWORD attach_with_options(struct options *o)
{
    if (!names_programs(o)) {
        return EXIT_USAGE;
    }
    uint32_t count = 0, *pids = find_roots(o, &count);
    struct tree t = {.count = 0};
    DWORD status = pids ? EXIT_NOT_REDIRECTING : EXIT_NOT_FOUND;
    struct privilege privilege;
    privilege_take(&privilege);
    bool opened = pids && open_roots(&t, o, pids, count);
    privilege_restore(&privilege);
    if (opened) {
        status = redirect(o, &t);
    }
    free(pids);
    tree_close(&t);
    return status;
}

DWORD attach_command(wchar_t **arguments)
{
    return session_command(COMMAND_ATTACH, arguments, attach_with_options);
}
