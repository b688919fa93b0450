/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * redirector run. The order is the point: the program is started suspended, so that the redirector is ready before its
 * first instruction; the relay listens before the redirector starts, because the redirector leads nothing to a port
 * that nobody listens on; and all of it is undone in reverse. Waiting is for two things, the program and the user
 * (console.c).
 */
#include "run.h"

#include "child.h"
#include "console.h"
#include "options.h"
#include "output.h"
#include "relay.h"
#include "report.h"
#include "text.h"
#include "windows_redirector.h"

enum {
    TWICE_MS = 2000, /* two Ctrl-C within this mean redirector, one means the program */
    HINT_MS = 1000,  /* a program that a Ctrl-C ends is gone by then */
};

/* Waits for the program. False: the user wants redirector to end first. *interrupted: there was a Ctrl-C. */
static bool wait_for_program(const child *c, bool *interrupted)
{
    HANDLE handles[] = {c->process, console_presses()};
    ULONGLONG pressed_at = 0;
    bool hinted = false;
    for (;;) {
        DWORD patience = *interrupted && !hinted ? HINT_MS : INFINITE;
        switch (WaitForMultipleObjects(2, handles, FALSE, patience)) {
        case WAIT_OBJECT_0:
            return true;
        case WAIT_OBJECT_0 + 1:
            if (console_is_closing() || (*interrupted && GetTickCount64() - pressed_at <= TWICE_MS))
                return false;
            pressed_at = GetTickCount64();
            *interrupted = true;
            break;
        case WAIT_TIMEOUT:
            hinted = true;
            output_message("the program goes on, and so does redirector; Ctrl-C twice ends redirector alone");
            break;
        default:
            return false;
        }
    }
}

/* The program runs until here; returns its exit status. */
static DWORD see_it_through(const child *c, relay *r)
{
    bool interrupted = false;
    DWORD status = EXIT_INTERRUPTED;
    if (!wait_for_program(c, &interrupted))
        return status;
    GetExitCodeProcess(c->process, &status);
    if (!interrupted)
        relay_wait_idle(r, console_presses());
    return status;
}

static redirector *start_redirecting(const run_options *options, const child *c, const relay *r)
{
    redirector_config config = {.size = sizeof config,
                                .client_pid = c->pid,
                                .proxy_port = relay_port(r),
                                .log_level = options->log_level,
                                .windivert_dir = options->windivert_dir,
                                .log_path = options->log_path};
    redirector_error error = {.size = sizeof error};
    redirector *redirecting = NULL;
    if (redirector_start(&config, &redirecting, &error) != REDIRECTOR_OK) {
        output_message("%s", error.text);
        return NULL;
    }
    return redirecting;
}

/* The program is started and suspended. */
static DWORD redirect(const run_options *options, child *c, relay *r)
{
    DWORD status = EXIT_NOT_REDIRECTING;
    uint32_t error;
    redirector *redirecting = start_redirecting(options, c, r);
    if (!redirecting) {
        child_discard(c);
    } else if (!relay_start(r, redirecting, &error)) {
        output_message("the relay could not be started (error %u)", error);
        child_discard(c);
    } else if (WaitForSingleObject(console_presses(), 0) == WAIT_OBJECT_0) {
        child_discard(c); /* Ctrl-C while the driver was loading: the program has not run at all */
        status = EXIT_INTERRUPTED;
    } else if (!child_resume(c)) {
        output_message("the program cannot be set going (error %lu)", GetLastError());
        child_discard(c);
        status = EXIT_CANNOT_RUN;
    } else {
        status = see_it_through(c, r);
    }
    /* The relay first: it asks the redirector about peers. */
    relay_close(r);
    redirector_free(redirecting);
    return status;
}

static DWORD run_program(const run_options *options, child *c, report *report)
{
    uint32_t error;
    relay *r = relay_open(report, &error);
    if (!r) {
        output_message("the relay cannot listen on 127.0.0.1 and [::1] (error %u)", error);
        return EXIT_NOT_REDIRECTING;
    }
    DWORD status = child_start(c, options->program);
    if (status) {
        relay_close(r);
        return status;
    }
    return redirect(options, c, r);
}

static DWORD run_with_options(const run_options *options)
{
    child c;
    DWORD status = child_find(&c, options->program[0]);
    if (status)
        return status;
    report *report = console_watch() ? report_open(options->json) : NULL;
    if (!report) {
        output_message("out of memory");
        child_close(&c);
        return EXIT_NOT_REDIRECTING;
    }
    status = run_program(options, &c, report);
    report_close(report, c.resumed); /* nothing to sum up of a program that never ran */
    child_close(&c);
    console_done();
    return status;
}

DWORD run_command(wchar_t **arguments)
{
    run_options options;
    DWORD status = EXIT_USAGE;
    switch (options_read_run(arguments, &options)) {
    case OPTIONS_OK:
        status = run_with_options(&options);
        break;
    case OPTIONS_HELP:
        output_text(options_help);
        status = 0;
        break;
    case OPTIONS_WRONG:
        break;
    }
    options_free(&options);
    return status;
}
