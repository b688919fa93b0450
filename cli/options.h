/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file options.h
 * The command line, and the text of --help.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "rules_state.h"
#include "route_option.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

/** Exit statuses of redirector itself; every other one is the started program's. */
enum exit_status {
    EXIT_FOUND_WRONG = 1, /* doctor: something is not as it should be; flows, stats: no redirector runs */
    EXIT_USAGE = 2,
    EXIT_NOT_REDIRECTING = 3,
    EXIT_CANNOT_RUN = 126,
    EXIT_NOT_FOUND = 127,
};
#define EXIT_INTERRUPTED 0xC000013Au /* what Windows itself gives a program that Ctrl-C ended */

enum { OPTIONS_PIDS_MAX = 64, OPTIONS_RULES_MAX = 256, OPTIONS_PORTS_MAX = 64 };

enum command_id {
    COMMAND_RUN = 1 << 0,
    COMMAND_ATTACH = 1 << 1,
    COMMAND_PS = 1 << 2,
    COMMAND_FLOWS = 1 << 3,
    COMMAND_STATS = 1 << 4,
    COMMAND_DOCTOR = 1 << 5,
};

/** What becomes of datagrams. */
enum udp_mode {
    UDP_NOT_SAID,
    UDP_RELAY, /**< the relay passes them on */
    UDP_PASS,  /**< the relay does not get them */
    UDP_BLOCK, /**< the relay refuses them */
};

struct options {
    enum command_id command;
    bool json, plain, live;
    uint32_t pids[OPTIONS_PIDS_MAX];
    uint32_t pid_count;
    redirector_rule rules[OPTIONS_RULES_MAX]; /**< in the order given: --name includes, --exclude excludes */
    uint32_t rule_count;
    wchar_t *rules_path;          /**< of a file of more rules, absolute; NULL: not given */
    struct rules_state *in_force; /**< the file's rules, then these; session_command() has it made */
    struct route_options upstreams;
    bool incoming, no_outgoing, no_loopback, no_proof, small_segments, fail_closed, reflect, block_quic,
        no_firewall_permit, clean, until_exit;
    enum udp_mode udp;
    uint32_t proxy_port, incoming_proxy, udp_proxy_port, relay_port; /**< 0: not given */
    uint32_t connect_timeout;                                        /**< seconds; 0: not given */
    uint32_t log_level;                                              /**< redirector_log_level */
    char *windivert_dir;                                             /**< UTF-8, absolute; NULL: not given */
    char *log_path, *pcap_path, *report_path;                        /**< UTF-8; NULL: not given */
    uint32_t listen_ports[OPTIONS_PORTS_MAX], listen_port_count;
    wchar_t **program; /**< the program and its arguments; ends with NULL; from argv */
};

enum options_result {
    OPTIONS_OK,
    OPTIONS_HELP,
    OPTIONS_WRONG, /**< a message was shown */
};

extern const char options_help[]; /* help.c */

/** Reads what follows the command. `argv` ends with NULL. Call options_free() whatever the result. */
enum options_result options_read(enum command_id command, wchar_t **argv, struct options *o);

/** For options_read(): is the command line whole, and without contradiction? If not, a message was shown. */
enum options_result options_check(const struct options *o);

/** What the relay does with datagrams; never UDP_NOT_SAID. Without --udp a proxy of the user's own for TCP leaves them
 * alone. */
enum udp_mode options_udp(const struct options *o);

void options_free(struct options *o);

#endif
