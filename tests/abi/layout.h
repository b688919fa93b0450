/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file layout.h
 * The layout of every public structure, as it was first published: it is right if this compiles.
 *
 * tests/abi/run compiles it as C11 and as C++17, for Windows x64 and Linux x64, with different compilers. WinDest is
 * fixed for good. The other structures may grow at their end (then their size here does, too); what is there never
 * moves.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "windows_redirector.h"

#include <stddef.h>

/* clang-format off */
#define LAYOUT_STRUCTS(X)            \
    X(WinDest,                 32)   \
    X(redirector_error,       336)   \
    X(redirector_rule,         80)   \
    X(redirector_config,      128)   \
    X(redirector_address,      28)   \
    X(redirector_destination,  64)   \
    X(redirector_rule_case,    72)   \
    X(redirector_rule_verdict, 16)   \
    X(redirector_connection,   80)   \
    X(redirector_flow,        152)   \
    X(redirector_stats,       536)

/* The sizes that were published before; the library still accepts them. */
#define LAYOUT_CONFIG_WITHOUT_ROOTS 80
#define LAYOUT_CONFIG_WITHOUT_UPSTREAMS 96
#define LAYOUT_CONFIG_WITHOUT_LISTEN_PORTS 112
#define LAYOUT_CONFIG_WITHOUT_UDP_PORT 120
#define LAYOUT_STATS_WITHOUT_DELAY 144

/* structure, member, offset, size */
#define LAYOUT_MEMBERS(X)                                    \
    X(WinDest,                ip_version,             0,   4)  \
    X(WinDest,                dest_ip4,               4,   4)  \
    X(WinDest,                dest_ip6,               8,  16)  \
    X(WinDest,                dest_port,             24,   4)  \
    X(WinDest,                kernel_pid,            28,   4)  \
    X(redirector_error,       size,                   0,   4)  \
    X(redirector_error,       code,                   4,   4)  \
    X(redirector_error,       os_error,               8,   4)  \
    X(redirector_error,       text,                  12, 324)  \
    X(redirector_rule,        size,                    0,   4)  \
    X(redirector_rule,        action,                  4,   4)  \
    X(redirector_rule,        pid,                     8,   4)  \
    X(redirector_rule,        direction,              12,   4)  \
    X(redirector_rule,        pattern,                16,   8)  \
    X(redirector_rule,        listener,               24,   8)  \
    X(redirector_rule,        host,                   32,   8)  \
    X(redirector_rule,        protocol,               40,   4)  \
    X(redirector_rule,        first_port,             44,   4)  \
    X(redirector_rule,        last_port,              48,   4)  \
    X(redirector_rule,        family,                 52,   4)  \
    X(redirector_rule,        prefix_length,          56,   4)  \
    X(redirector_rule,        network,                60,  16)  \
    X(redirector_rule,        upstream,               76,   4)  \
    X(redirector_config,      size,                   0,   4)  \
    X(redirector_config,      client_pid,             4,   4)  \
    X(redirector_config,      agent_pid,              8,   4)  \
    X(redirector_config,      proxy_port,            12,   4)  \
    X(redirector_config,      incoming_port,         16,   4)  \
    X(redirector_config,      flags,                 20,   4)  \
    X(redirector_config,      hold_timeout_ms,       24,   4)  \
    X(redirector_config,      log_level,             28,   4)  \
    X(redirector_config,      scan_interval_ms,      32,   4)  \
    X(redirector_config,      rule_count,            36,   4)  \
    X(redirector_config,      rules,                 40,   8)  \
    X(redirector_config,      windivert_dir,         48,   8)  \
    X(redirector_config,      log_path,              56,   8)  \
    X(redirector_config,      log_fn,                64,   8)  \
    X(redirector_config,      log_context,           72,   8)  \
    X(redirector_config,      roots,                 80,   8)  \
    X(redirector_config,      root_count,            88,   4)  \
    X(redirector_config,      upstream_count,        92,   4)  \
    X(redirector_config,      upstreams,             96,   8)  \
    X(redirector_config,      decision_timeout_ms,  104,   4)  \
    X(redirector_config,      listen_port_count,    108,   4)  \
    X(redirector_config,      listen_ports,         112,   8)  \
    X(redirector_config,      udp_port,             120,   4)  \
    X(redirector_config,      udp_idle_ms,          124,   4)  \
    X(redirector_address,     family,                 0,   4)  \
    X(redirector_address,     port,                   4,   4)  \
    X(redirector_address,     bytes,                  8,  16)  \
    X(redirector_address,     scope,                 24,   4)  \
    X(redirector_destination, size,                   0,   4)  \
    X(redirector_destination, pid,                    4,   4)  \
    X(redirector_destination, incoming,               8,   4)  \
    X(redirector_destination, protocol,              12,   4)  \
    X(redirector_destination, destination,           16,  28)  \
    X(redirector_destination, connection_id,         48,   8)  \
    X(redirector_destination, upstream,               56,   4)  \
    X(redirector_destination, reserved,               60,   4)  \
    X(redirector_rule_case,   size,                    0,   4)  \
    X(redirector_rule_case,   in_tree,                 4,   4)  \
    X(redirector_rule_case,   pid,                     8,   4)  \
    X(redirector_rule_case,   protocol,               12,   4)  \
    X(redirector_rule_case,   direction,              16,   4)  \
    X(redirector_rule_case,   address,                20,  28)  \
    X(redirector_rule_case,   program,                48,   8)  \
    X(redirector_rule_case,   listener,               56,   8)  \
    X(redirector_rule_case,   host,                   64,   8)  \
    X(redirector_rule_verdict, size,                    0,   4)  \
    X(redirector_rule_verdict, action,                  4,   4)  \
    X(redirector_rule_verdict, rule,                    8,   4)  \
    X(redirector_rule_verdict, upstream,               12,   4)  \
    X(redirector_connection,  size,                   0,   4)  \
    X(redirector_connection,  pid,                    4,   4)  \
    X(redirector_connection,  connection_id,          8,   8)  \
    X(redirector_connection,  client,                16,  28)  \
    X(redirector_connection,  destination,           44,  28)  \
    X(redirector_connection,  upstream,              72,   4)  \
    X(redirector_connection,  reserved,              76,   4)  \
    X(redirector_flow,        size,                   0,   4)  \
    X(redirector_flow,        pid,                    4,   4)  \
    X(redirector_flow,        kind,                   8,   4)  \
    X(redirector_flow,        state,                 12,   4)  \
    X(redirector_flow,        client,                16,  28)  \
    X(redirector_flow,        destination,           44,  28)  \
    X(redirector_flow,        peer,                  72,  28)  \
    X(redirector_flow,        protocol,             100,   4)  \
    X(redirector_flow,        bytes_up,             104,   8)  \
    X(redirector_flow,        bytes_down,           112,   8)  \
    X(redirector_flow,        packets_up,           120,   8)  \
    X(redirector_flow,        packets_down,         128,   8)  \
    X(redirector_flow,        opened_ms,            136,   8)  \
    X(redirector_flow,        age_ms,               144,   8)  \
    X(redirector_stats,       size,                   0,   4)  \
    X(redirector_stats,       flows_live,             4,   4)  \
    X(redirector_stats,       flows_total,            8,   8)  \
    X(redirector_stats,       flow_table_full,       16,   8)  \
    X(redirector_stats,       packets_seen,          24,   8)  \
    X(redirector_stats,       packets_passed,        32,   8)  \
    X(redirector_stats,       packets_rewritten,     40,   8)  \
    X(redirector_stats,       packets_held,          48,   8)  \
    X(redirector_stats,       packets_dropped,       56,   8)  \
    X(redirector_stats,       packets_malformed,     64,   8)  \
    X(redirector_stats,       proxy_not_listening,   72,   8)  \
    X(redirector_stats,       hold_timeouts,         80,   8)  \
    X(redirector_stats,       hold_overflows,        88,   8)  \
    X(redirector_stats,       send_errors,           96,   8)  \
    X(redirector_stats,       receive_errors,       104,   8)  \
    X(redirector_stats,       events_seen,          112,   8)  \
    X(redirector_stats,       lookups_hit,          120,   8)  \
    X(redirector_stats,       lookups_missed,       128,   8)  \
    X(redirector_stats,       log_lines_dropped,    136,   8)  \
    X(redirector_stats,       queue_delay_last_us, 144, 8) \
    X(redirector_stats,       queue_delay_max_us,  152, 8) \
    X(redirector_stats,       queue_delay_mean_us, 160, 8) \
    X(redirector_stats,       capture_waits,        168,   8)  \
    X(redirector_stats,       filter_replacements,  176,   8)  \
    X(redirector_stats,       watchdog_trips,       184,   8)  \
    X(redirector_stats,       syns_forwarded,       192,   8)  \
    X(redirector_stats,       link_local_passed,    200,   8)  \
    X(redirector_stats,       capture_timeouts,     208,   8)  \
    X(redirector_stats,       self_connections,     216,   8)  \
    X(redirector_stats,       proxy_connections,    224,   8)  \
    X(redirector_stats,       decision_waits,       232,   8)  \
    X(redirector_stats,       decision_timeouts,    240,   8)  \
    X(redirector_stats,       decision_overflows,   248,   8)  \
    X(redirector_stats,       priority_shared,      256,   8)  \
    X(redirector_stats,       led_by_others,        264,   8)  \
    X(redirector_stats,       firewall_permit,      272,   8)  \
    X(redirector_stats,       members_forgotten,    280,   8)  \
    X(redirector_stats,       members_outside,      288,   8)  \
    X(redirector_stats,       tree_listeners,       296,   8)  \
    X(redirector_stats,       proofs,               304,   8)  \
    X(redirector_stats,       steering_replaced,    312,   8)  \
    X(redirector_stats,       handle_renewals,      320,   8)  \
    X(redirector_stats,       table_waits,          328,   8)  \
    X(redirector_stats,       table_timeouts,       336,   8)  \
    X(redirector_stats,       table_failures,       344,   8)  \
    X(redirector_stats,       agent_connections,    352,   8)  \
    X(redirector_stats,       loopback_passed,      360,   8)  \
    X(redirector_stats,       listener_overflows,   368,   8)  \
    X(redirector_stats,       processes_unknown,    376,   8)  \
    X(redirector_stats,       segments_cut,         384,   8)  \
    X(redirector_stats,       large_segments,       392,   8)  \
    X(redirector_stats,       udp_flows_live,         400,   8)  \
    X(redirector_stats,       udp_flows_total,        408,   8)  \
    X(redirector_stats,       udp_table_full,         416,   8)  \
    X(redirector_stats,       udp_packets_seen,       424,   8)  \
    X(redirector_stats,       udp_packets_passed,     432,   8)  \
    X(redirector_stats,       udp_packets_rewritten,  440,   8)  \
    X(redirector_stats,       udp_packets_held,       448,   8)  \
    X(redirector_stats,       udp_packets_dropped,    456,   8)  \
    X(redirector_stats,       udp_packets_malformed,  464,   8)  \
    X(redirector_stats,       udp_proxy_not_listening,472,   8)  \
    X(redirector_stats,       udp_hold_timeouts,      480,   8)  \
    X(redirector_stats,       udp_hold_overflows,     488,   8)  \
    X(redirector_stats,       udp_fragments_passed,   496,   8)  \
    X(redirector_stats,       udp_errors_translated,  504,   8)  \
    X(redirector_stats,       udp_uncaptured,         512,   8)  \
    X(redirector_stats,       connections_blocked,    520,   8)  \
    X(redirector_stats,       udp_packets_blocked,    528,   8)

/* The bits of redirector_config.flags. */
#define LAYOUT_FLAGS(X)      \
    X(KEEP_FLOWS_ON_STOP,      1)   \
    X(REFLECT,          2)   \
    X(FAIL_CLOSED,           4)   \
    X(DESCENDANTS_ONLY, 8)   \
    X(UNLOAD_DRIVER,   16)   \
    X(NO_LOOPBACK,     32)   \
    X(CAPTURE_ALL,     64)   \
    X(NO_FIREWALL_PERMIT, 128)  \
    X(NO_PROOF,       256)  \
    X(DEBUG_PRIVILEGE, 512)  \
    X(SMALL_SEGMENTS, 1024)

/* States of a redirector, kinds and states of connections, decisions about them, levels of the log. */
#define LAYOUT_NUMBERS(X)    \
    X(ACCEPT,           1)   \
    X(REFUSE,           2)   \
    X(PASS,             3)   \
    X(DROP,             4)   \
    X(RUNNING,          1)   \
    X(STOPPED,          2)   \
    X(FAILED,           3)   \
    X(TCP,              6)   \
    X(UDP,             17)   \
    X(FLOW_OUTGOING,    0)   \
    X(FLOW_INCOMING,    1)   \
    X(FLOW_OPENING,     1)   \
    X(FLOW_OPEN,        2)   \
    X(FLOW_CLOSING,     3)   \
    X(LOG_DEFAULT,      0)   \
    X(LOG_OFF,          1)   \
    X(LOG_ERROR,        2)   \
    X(LOG_WARN,         3)   \
    X(LOG_INFO,         4)   \
    X(LOG_DEBUG,        5)

/* The numbers of the status codes: published once, never changed. */
#define LAYOUT_STATUSES(X)     \
    X(OK,                  0)  \
    X(INVALID_ARGUMENT,    1)  \
    X(PORT_INVALID,        2)  \
    X(NO_PORT,             3)  \
    X(NO_SUCH_PROCESS,     4)  \
    X(PROCESS_DENIED,      5)  \
    X(ALREADY_RUNNING,     6)  \
    X(NOT_RUNNING,         7)  \
    X(NOT_FOUND,           8)  \
    X(NOT_ELEVATED,        9)  \
    X(DLL_NOT_FOUND,      10)  \
    X(DLL_VERSION,        11)  \
    X(DRIVER_NOT_FOUND,   12)  \
    X(DRIVER_BLOCKED,     13)  \
    X(DRIVER_SIGNATURE,   14)  \
    X(DRIVER_CONFLICT,    15)  \
    X(DRIVER_SERVICE,     16)  \
    X(BFE_NOT_RUNNING,    17)  \
    X(DRIVER_FAILED,      18)  \
    X(NO_MEMORY,          19)  \
    X(LOG_FAILED,         20)  \
    X(UNSUPPORTED,        21)  \
    X(STOPPED_BY_FORCE,   22)  \
    X(INTERNAL,           23)  \
    X(ENGINE_STALLED,     24) \
    X(PROOF_FAILED,       25)
/* clang-format on */

#ifdef __cplusplus
#define LAYOUT_ASSERT(condition, text) static_assert(condition, text)
#define LAYOUT_SIZEOF_MEMBER(type, member) sizeof(type::member)
#else
#define LAYOUT_ASSERT(condition, text) _Static_assert(condition, text)
#define LAYOUT_SIZEOF_MEMBER(type, member) sizeof(((type *)0)->member)
#endif

#define LAYOUT_STATIC_STRUCT(type, bytes) LAYOUT_ASSERT(sizeof(type) == (bytes), "size of " #type);
#define LAYOUT_STATIC_MEMBER(type, member, offset, bytes)                                                              \
    LAYOUT_ASSERT(offsetof(type, member) == (offset), "offset of " #type "." #member);                                 \
    LAYOUT_ASSERT(LAYOUT_SIZEOF_MEMBER(type, member) == (bytes), "size of " #type "." #member);
#define LAYOUT_STATIC_NUMBER(name, number) LAYOUT_ASSERT(REDIRECTOR_##name == (number), "number of " #name);
LAYOUT_STRUCTS(LAYOUT_STATIC_STRUCT)
LAYOUT_MEMBERS(LAYOUT_STATIC_MEMBER)
LAYOUT_FLAGS(LAYOUT_STATIC_NUMBER)
LAYOUT_NUMBERS(LAYOUT_STATIC_NUMBER)
LAYOUT_STATUSES(LAYOUT_STATIC_NUMBER)

#define LAYOUT_COUNT_OURS(name, number) +1
#define LAYOUT_COUNT_THEIRS(name, number, text) +1
LAYOUT_ASSERT((0 REDIRECTOR_STATUS_LIST(LAYOUT_COUNT_THEIRS)) == (0 LAYOUT_STATUSES(LAYOUT_COUNT_OURS)),
              "every status of the header has its number here");

#endif
