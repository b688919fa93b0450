/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * windivert-labd: the network of the lab's kernel side, which is in Wine (../windows).
 *
 * Theory of operation: one thread, one event loop. The packet's way through the files is
 *   capture -> link ... the kernel side, the driver, user mode ... link -> intake -> inject
 * What the kernel side tells of handles and packets, intake takes in for the counters and the audit.
 * It must run in the network namespace whose traffic is diverted.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "abi.h"
#include "ale.h"
#include "capture.h"
#include "control.h"
#include "drvfault.h"
#include "events.h"
#include "fault.h"
#include "filters.h"
#include "handles.h"
#include "inject.h"
#include "intake.h"
#include "link.h"
#include "loop.h"
#include "netem.h"
#include "netif.h"
#include "owners.h"
#include "settings.h"

static void usage(FILE *out)
{
    fputs("usage: windivert-labd --cgroup PATH --control PATH [--queue NUMBER] [--far-end PATH]\n"
          "       windivert-labd --marks\n"
          "  --cgroup   cgroup2 directory whose sockets are watched\n"
          "  --control  where to make the control socket\n"
          "  --queue    NFQUEUE number (0) for TCP; the next one is for all else\n"
          "  --far-end  network namespace of the other host, for conditions between the two\n"
          "  --marks    print the mark of packets that the rules must not queue\n",
          out);
}

static void print_marks(void)
{
    printf("final 0x%08x\n", MARK_FINAL);
}

static void events_readable(void *context, int fd)
{
    (void)context;
    (void)fd;
    events_drain();
}

static void event_happened(void *context, const struct sock_event *happened)
{
    struct sock_event event = *happened;

    if (event.event >= WD_SOCKET_BIND) {
        drvfault_strikes_pid(WD_SOCKET, &event.pid);
        owners_note(&event);
    }
    fault_event(context, &event);
}

static void kernel_side_comes(void)
{
    settings_push();
    netif_push();
    drvfault_push();
}

static void kernel_side_is_gone(void)
{
    handles_forget();
    ale_handles_changed(true);
    ale_unanswered();
    drvfault_lost();
    capture_release();
    control_told_all();
}

static const struct link_user kernel_side = {
    .connected = kernel_side_comes,
    .message = intake_message,
    .lost = kernel_side_is_gone,
    .eased = capture_resume,
};

static void signal_readable(void *context, int fd)
{
    (void)context;
    (void)fd;
    loop_stop();
}

static int open_signals(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_CLOEXEC);
}

static int serve(const char *cgroup, const char *control, uint16_t queue, const char *far_end)
{
    int signals = open_signals();

    loop_add(signals, signal_readable, NULL);
    netif_open();
    inject_open();
    link_listen(&kernel_side);
    fault_open(ale_tell, NULL);
    if (events_open(cgroup, event_happened, NULL) < 0) {
        return 1;
    }
    owners_open();
    filters_open(settings_push);
    netem_open(far_end);
    loop_add(events_fd(), events_readable, NULL);
    capture_open(queue);
    control_open(control);
    puts("ready");
    fflush(stdout);

    loop_run();

    link_close();
    control_close();
    netem_close();
    capture_close();
    filters_close();
    owners_close();
    events_close();
    fault_close();
    inject_close();
    netif_close();
    close(signals);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"cgroup", required_argument, NULL, 'g'},
        {"control", required_argument, NULL, 'c'},
        {"queue", required_argument, NULL, 'q'},
        {"far-end", required_argument, NULL, 'f'},
        {"marks", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *cgroup = NULL, *control = NULL, *far_end = NULL;
    unsigned long queue = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'g':
            cgroup = optarg;
            break;
        case 'c':
            control = optarg;
            break;
        case 'q':
            queue = strtoul(optarg, NULL, 10);
            break;
        case 'f':
            far_end = optarg;
            break;
        case 'm':
            print_marks();
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (!cgroup || !control || queue >= UINT16_MAX || optind != argc) {
        usage(stderr);
        return 2;
    }
    return serve(cgroup, control, (uint16_t)queue, far_end);
}
