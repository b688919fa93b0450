// SPDX-License-Identifier: LGPL-3.0-or-later

// Made from tests/abi/layout.h by rust/generate.sh: every structure, member and number as it was published.

use std::mem::{size_of, size_of_val, MaybeUninit};
use std::ptr::addr_of;
use windows_redirector_sys::*;

macro_rules! member {
    ($structure:ty, $member:ident, $offset:expr, $size:expr) => {{
        let object = MaybeUninit::<$structure>::zeroed();
        let object = unsafe { object.assume_init_ref() };
        let offset = addr_of!(object.$member) as usize - addr_of!(*object) as usize;
        let name = concat!(stringify!($structure), ".", stringify!($member));
        assert_eq!((offset, size_of_val(&object.$member)), ($offset, $size), "{name}");
    }};
}

#[test]
fn sizes() {
    assert_eq!(size_of::<WinDest>(), 32, "WinDest");
    assert_eq!(size_of::<redirector_error>(), 336, "redirector_error");
    assert_eq!(size_of::<redirector_rule>(), 24, "redirector_rule");
    assert_eq!(size_of::<redirector_config>(), 120, "redirector_config");
    assert_eq!(size_of::<redirector_address>(), 28, "redirector_address");
    assert_eq!(size_of::<redirector_destination>(), 56, "redirector_destination");
    assert_eq!(size_of::<redirector_connection>(), 72, "redirector_connection");
    assert_eq!(size_of::<redirector_flow>(), 152, "redirector_flow");
    assert_eq!(size_of::<redirector_stats>(), 400, "redirector_stats");
}

#[test]
fn members() {
    member!(WinDest, ip_version, 0, 4);
    member!(WinDest, dest_ip4, 4, 4);
    member!(WinDest, dest_ip6, 8, 16);
    member!(WinDest, dest_port, 24, 4);
    member!(WinDest, kernel_pid, 28, 4);
    member!(redirector_error, size, 0, 4);
    member!(redirector_error, code, 4, 4);
    member!(redirector_error, os_error, 8, 4);
    member!(redirector_error, text, 12, 324);
    member!(redirector_rule, include, 0, 4);
    member!(redirector_rule, pid, 4, 4);
    member!(redirector_rule, pattern, 8, 8);
    member!(redirector_rule, listener, 16, 8);
    member!(redirector_config, size, 0, 4);
    member!(redirector_config, client_pid, 4, 4);
    member!(redirector_config, agent_pid, 8, 4);
    member!(redirector_config, proxy_port, 12, 4);
    member!(redirector_config, incoming_port, 16, 4);
    member!(redirector_config, flags, 20, 4);
    member!(redirector_config, hold_timeout_ms, 24, 4);
    member!(redirector_config, log_level, 28, 4);
    member!(redirector_config, scan_interval_ms, 32, 4);
    member!(redirector_config, rule_count, 36, 4);
    member!(redirector_config, rules, 40, 8);
    member!(redirector_config, windivert_dir, 48, 8);
    member!(redirector_config, log_path, 56, 8);
    member!(redirector_config, log_fn, 64, 8);
    member!(redirector_config, log_context, 72, 8);
    member!(redirector_config, roots, 80, 8);
    member!(redirector_config, root_count, 88, 4);
    member!(redirector_config, upstream_count, 92, 4);
    member!(redirector_config, upstreams, 96, 8);
    member!(redirector_config, decision_timeout_ms, 104, 4);
    member!(redirector_config, listen_port_count, 108, 4);
    member!(redirector_config, listen_ports, 112, 8);
    member!(redirector_address, family, 0, 4);
    member!(redirector_address, port, 4, 4);
    member!(redirector_address, bytes, 8, 16);
    member!(redirector_address, scope, 24, 4);
    member!(redirector_destination, size, 0, 4);
    member!(redirector_destination, pid, 4, 4);
    member!(redirector_destination, incoming, 8, 4);
    member!(redirector_destination, reserved, 12, 4);
    member!(redirector_destination, destination, 16, 28);
    member!(redirector_destination, connection_id, 48, 8);
    member!(redirector_connection, size, 0, 4);
    member!(redirector_connection, pid, 4, 4);
    member!(redirector_connection, connection_id, 8, 8);
    member!(redirector_connection, client, 16, 28);
    member!(redirector_connection, destination, 44, 28);
    member!(redirector_flow, size, 0, 4);
    member!(redirector_flow, pid, 4, 4);
    member!(redirector_flow, kind, 8, 4);
    member!(redirector_flow, state, 12, 4);
    member!(redirector_flow, client, 16, 28);
    member!(redirector_flow, destination, 44, 28);
    member!(redirector_flow, peer, 72, 28);
    member!(redirector_flow, reserved, 100, 4);
    member!(redirector_flow, bytes_up, 104, 8);
    member!(redirector_flow, bytes_down, 112, 8);
    member!(redirector_flow, packets_up, 120, 8);
    member!(redirector_flow, packets_down, 128, 8);
    member!(redirector_flow, opened_ms, 136, 8);
    member!(redirector_flow, age_ms, 144, 8);
    member!(redirector_stats, size, 0, 4);
    member!(redirector_stats, flows_live, 4, 4);
    member!(redirector_stats, flows_total, 8, 8);
    member!(redirector_stats, flow_table_full, 16, 8);
    member!(redirector_stats, packets_seen, 24, 8);
    member!(redirector_stats, packets_passed, 32, 8);
    member!(redirector_stats, packets_rewritten, 40, 8);
    member!(redirector_stats, packets_held, 48, 8);
    member!(redirector_stats, packets_dropped, 56, 8);
    member!(redirector_stats, packets_malformed, 64, 8);
    member!(redirector_stats, proxy_not_listening, 72, 8);
    member!(redirector_stats, hold_timeouts, 80, 8);
    member!(redirector_stats, hold_overflows, 88, 8);
    member!(redirector_stats, send_errors, 96, 8);
    member!(redirector_stats, receive_errors, 104, 8);
    member!(redirector_stats, events_seen, 112, 8);
    member!(redirector_stats, lookups_hit, 120, 8);
    member!(redirector_stats, lookups_missed, 128, 8);
    member!(redirector_stats, log_lines_dropped, 136, 8);
    member!(redirector_stats, queue_delay_last_us, 144, 8);
    member!(redirector_stats, queue_delay_max_us, 152, 8);
    member!(redirector_stats, queue_delay_mean_us, 160, 8);
    member!(redirector_stats, capture_waits, 168, 8);
    member!(redirector_stats, filter_replacements, 176, 8);
    member!(redirector_stats, watchdog_trips, 184, 8);
    member!(redirector_stats, syns_forwarded, 192, 8);
    member!(redirector_stats, link_local_passed, 200, 8);
    member!(redirector_stats, capture_timeouts, 208, 8);
    member!(redirector_stats, self_connections, 216, 8);
    member!(redirector_stats, proxy_connections, 224, 8);
    member!(redirector_stats, decision_waits, 232, 8);
    member!(redirector_stats, decision_timeouts, 240, 8);
    member!(redirector_stats, decision_overflows, 248, 8);
    member!(redirector_stats, priority_shared, 256, 8);
    member!(redirector_stats, led_by_others, 264, 8);
    member!(redirector_stats, firewall_permit, 272, 8);
    member!(redirector_stats, members_forgotten, 280, 8);
    member!(redirector_stats, members_outside, 288, 8);
    member!(redirector_stats, tree_listeners, 296, 8);
    member!(redirector_stats, proofs, 304, 8);
    member!(redirector_stats, steering_replaced, 312, 8);
    member!(redirector_stats, handle_renewals, 320, 8);
    member!(redirector_stats, table_waits, 328, 8);
    member!(redirector_stats, table_timeouts, 336, 8);
    member!(redirector_stats, table_failures, 344, 8);
    member!(redirector_stats, agent_connections, 352, 8);
    member!(redirector_stats, loopback_passed, 360, 8);
    member!(redirector_stats, listener_overflows, 368, 8);
    member!(redirector_stats, processes_unknown, 376, 8);
    member!(redirector_stats, segments_cut, 384, 8);
    member!(redirector_stats, large_segments, 392, 8);
}

#[test]
fn numbers() {
    assert_eq!(REDIRECTOR_KEEP_FLOWS_ON_STOP, 1);
    assert_eq!(REDIRECTOR_REFLECT, 2);
    assert_eq!(REDIRECTOR_FAIL_CLOSED, 4);
    assert_eq!(REDIRECTOR_DESCENDANTS_ONLY, 8);
    assert_eq!(REDIRECTOR_UNLOAD_DRIVER, 16);
    assert_eq!(REDIRECTOR_NO_LOOPBACK, 32);
    assert_eq!(REDIRECTOR_CAPTURE_ALL, 64);
    assert_eq!(REDIRECTOR_NO_FIREWALL_PERMIT, 128);
    assert_eq!(REDIRECTOR_NO_PROOF, 256);
    assert_eq!(REDIRECTOR_DEBUG_PRIVILEGE, 512);
    assert_eq!(REDIRECTOR_SMALL_SEGMENTS, 1024);
    assert_eq!(REDIRECTOR_ACCEPT, 1);
    assert_eq!(REDIRECTOR_REFUSE, 2);
    assert_eq!(REDIRECTOR_PASS, 3);
    assert_eq!(REDIRECTOR_DROP, 4);
    assert_eq!(REDIRECTOR_RUNNING, 1);
    assert_eq!(REDIRECTOR_STOPPED, 2);
    assert_eq!(REDIRECTOR_FAILED, 3);
    assert_eq!(REDIRECTOR_FLOW_OUTGOING, 0);
    assert_eq!(REDIRECTOR_FLOW_INCOMING, 1);
    assert_eq!(REDIRECTOR_FLOW_OPENING, 1);
    assert_eq!(REDIRECTOR_FLOW_OPEN, 2);
    assert_eq!(REDIRECTOR_FLOW_CLOSING, 3);
    assert_eq!(REDIRECTOR_LOG_DEFAULT, 0);
    assert_eq!(REDIRECTOR_LOG_OFF, 1);
    assert_eq!(REDIRECTOR_LOG_ERROR, 2);
    assert_eq!(REDIRECTOR_LOG_WARN, 3);
    assert_eq!(REDIRECTOR_LOG_INFO, 4);
    assert_eq!(REDIRECTOR_LOG_DEBUG, 5);
    assert_eq!(REDIRECTOR_OK, 0);
    assert_eq!(REDIRECTOR_INVALID_ARGUMENT, 1);
    assert_eq!(REDIRECTOR_PORT_INVALID, 2);
    assert_eq!(REDIRECTOR_NO_PORT, 3);
    assert_eq!(REDIRECTOR_NO_SUCH_PROCESS, 4);
    assert_eq!(REDIRECTOR_PROCESS_DENIED, 5);
    assert_eq!(REDIRECTOR_ALREADY_RUNNING, 6);
    assert_eq!(REDIRECTOR_NOT_RUNNING, 7);
    assert_eq!(REDIRECTOR_NOT_FOUND, 8);
    assert_eq!(REDIRECTOR_NOT_ELEVATED, 9);
    assert_eq!(REDIRECTOR_DLL_NOT_FOUND, 10);
    assert_eq!(REDIRECTOR_DLL_VERSION, 11);
    assert_eq!(REDIRECTOR_DRIVER_NOT_FOUND, 12);
    assert_eq!(REDIRECTOR_DRIVER_BLOCKED, 13);
    assert_eq!(REDIRECTOR_DRIVER_SIGNATURE, 14);
    assert_eq!(REDIRECTOR_DRIVER_CONFLICT, 15);
    assert_eq!(REDIRECTOR_DRIVER_SERVICE, 16);
    assert_eq!(REDIRECTOR_BFE_NOT_RUNNING, 17);
    assert_eq!(REDIRECTOR_DRIVER_FAILED, 18);
    assert_eq!(REDIRECTOR_NO_MEMORY, 19);
    assert_eq!(REDIRECTOR_LOG_FAILED, 20);
    assert_eq!(REDIRECTOR_UNSUPPORTED, 21);
    assert_eq!(REDIRECTOR_STOPPED_BY_FORCE, 22);
    assert_eq!(REDIRECTOR_INTERNAL, 23);
    assert_eq!(REDIRECTOR_ENGINE_STALLED, 24);
    assert_eq!(REDIRECTOR_PROOF_FAILED, 25);
}
