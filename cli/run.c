/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector run. The program is started suspended, so that the redirector is ready before its first instruction; then
 * redirector waits for it and for all its descendants.
 */
#include "run.h"

#include "child.h"
#include "console.h"
#include "options.h"
#include "output.h"
#include "session.h"

enum {
    TWICE_MS = 2000, /* two Ctrl-C within this time end redirector, one is for the program */
    HINT_MS = 1000,  /* a program that a Ctrl-C ends is gone by then */
    CHECK_MS = 500,  /* how often the redirector's state is checked */
};

/* Waits for the program. False: the user wants redirector to end first. *interrupted: there was a Ctrl-C. */
static bool wait_for_program(const struct child *c, struct session *s, bool *interrupted)
{
    HANDLE handles[] = {c->process, console_presses()};
    ULONGLONG pressed_at = 0;
    bool hinted = false;
    for (;;) {
        DWORD patience = *interrupted && !hinted ? HINT_MS : CHECK_MS;
        switch (WaitForMultipleObjects(2, handles, FALSE, patience)) {
        case WAIT_OBJECT_0:
            return true;
        case WAIT_OBJECT_0 + 1:
            if (console_is_closing() || (*interrupted && GetTickCount64() - pressed_at <= TWICE_MS)) {
                return false;
            }
            pressed_at = GetTickCount64();
            *interrupted = true;
            break;
        case WAIT_TIMEOUT:
            session_check(s);
            if (!*interrupted || hinted) {
                break;
            }
            hinted = true;
            output_message("the program goes on, and so does redirector; Ctrl-C twice ends redirector alone");
            break;
        default:
            return false;
        }
    }
}

/* The program runs until here; returns its exit status. */
static DWORD see_it_through(const struct child *c, struct session *s)
{
    bool interrupted = false;
    DWORD status = EXIT_INTERRUPTED;
    if (!wait_for_program(c, s, &interrupted)) {
        return status;
    }
    GetExitCodeProcess(c->process, &status);
    if (!interrupted) {
        session_wait(s, true);
    }
    return status;
}

/* The program is started and suspended, the root of the tree. */
static DWORD redirect(struct session *s, struct child *c, const struct tree *t)
{
    DWORD status = session_start(s, t);
    if (status) {
        child_discard(c);
    } else if (WaitForSingleObject(console_presses(), 0) == WAIT_OBJECT_0) {
        child_discard(c); /* Ctrl-C while the driver was loading: the program has not run at all */
        status = EXIT_INTERRUPTED;
    } else if (!child_resume(c)) {
        output_message("the program cannot be set going (error %lu)", GetLastError());
        child_discard(c);
        status = EXIT_CANNOT_RUN;
    } else {
        status = see_it_through(c, s);
    }
    return status;
}

static DWORD run_with_options(struct options *o)
{
    struct child c;
    HANDLE root;
    struct tree t = {.count = 0};
    DWORD status = child_find(&c, o->program[0]);
    if (status) {
        return status;
    }
    struct session *s = session_open(o, !child_writes_here(&c), &status);
    if (s) {
        status = child_start(&c, child_command_line(GetCommandLineW()));
        if (!status && DuplicateHandle(GetCurrentProcess(), c.process, GetCurrentProcess(), &root, 0, FALSE,
                                       DUPLICATE_SAME_ACCESS)) {
            tree_add(&t, root);
            status = redirect(s, &c, &t);
        }
        session_close(s, c.resumed); /* no summary for a program that never ran */
    }
    tree_close(&t);
    child_close(&c);
    return status;
}

DWORD run_command(wchar_t **arguments)
{
    return session_command(COMMAND_RUN, arguments, run_with_options);
}
