/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector attach. The roots are the processes given by id, and the running ones whose name matches. Processes with a
 * matching name that start later are included by the rule of the name. It ends when all have ended, or by Ctrl-C.
 */
#include "run.h"

#include "options.h"
#include "output.h"
#include "processes.h"
#include "session.h"

static bool open_roots(struct tree *t, const uint32_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        /* to put it into a job; where that is not allowed, to wait for its end at least */
        HANDLE process = OpenProcess(
            SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SET_QUOTA | PROCESS_TERMINATE, FALSE, pids[i]);
        if (!process) {
            process = OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pids[i]);
        }
        if (!process) {
            DWORD error = GetLastError();
            output_message(error == ERROR_ACCESS_DENIED ? "process %u cannot be opened; run as Administrator"
                                                        : "there is no process %u; redirector ps shows what runs",
                           pids[i]);
            return false;
        }
        if (WaitForSingleObject(process, 0) == WAIT_OBJECT_0) {
            CloseHandle(process);
            output_message("process %u has ended; redirector ps shows what runs", pids[i]);
            return false;
        }
        tree_add(t, process);
    }
    return true;
}

/* All roots; 0: there are none, and a message was shown. */
static uint32_t find_roots(const struct options *o, uint32_t pids[OPTIONS_PIDS_MAX])
{
    struct process_list list;
    uint32_t count = o->pid_count;
    for (uint32_t i = 0; i < count; i++) {
        pids[i] = o->pids[i];
    }
    if (!processes_read(&list)) {
        output_message("the list of processes cannot be had (error %lu)", GetLastError());
        return 0;
    }
    count = processes_named(&list, o->rules, o->rule_count, pids, count, OPTIONS_PIDS_MAX);
    processes_free(&list);
    if (!count) {
        output_message("no process of that name runs; redirector ps shows what runs");
    }
    return count;
}

static DWORD attach_with_options(struct options *o)
{
    uint32_t pids[OPTIONS_PIDS_MAX], count = find_roots(o, pids);
    struct tree t = {.count = 0};
    DWORD status = count ? EXIT_NOT_REDIRECTING : EXIT_NOT_FOUND;
    if (count && open_roots(&t, pids, count)) {
        struct session *s = session_open(o, true, &status);
        if (s) {
            status = session_start(s, &t);
            bool started = !status;
            if (started) {
                output_message("redirecting %u process%s and what %s start%s; Ctrl-C ends it", count,
                               count == 1 ? "" : "es", count == 1 ? "it" : "they", count == 1 ? "s" : "");
                session_wait(s, false);
            }
            session_close(s, started);
        }
    }
    tree_close(&t);
    return status;
}

DWORD attach_command(wchar_t **arguments)
{
    return session_command(COMMAND_ATTACH, arguments, attach_with_options);
}
