# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The one list of the library's sources. Every build (DLL, archive, native engine, sanitizers) takes its files here.

# Pure C, no operating system: built for Windows and, under sanitizers, for Linux.
set(ENGINE_SOURCES # from the bottom of the staircase to its top: src/engine/state.h
    src/engine/own_addresses.c
    src/engine/port_set.c
    src/engine/tuple_map.c
    src/engine/packet.c
    src/engine/checksum.c
    src/engine/rewrite.c
    src/engine/flow.c
    src/engine/proof_plan.c
    src/engine/capture_plan.c
    src/engine/rules.c
    src/engine/process_tree.c
    src/engine/destinations.c
    src/engine/listeners.c
    src/engine/decisions.c
    src/engine/pending.c
    src/engine/reset.c
    src/engine/proofs.c
    src/engine/flow_list.c
    src/engine/table_talk.c
    src/engine/policy.c
    src/engine/segment_size.c
    src/engine/translate.c
    src/engine/tcp_table.c
    src/engine/sockets.c
    src/engine/redirect.c
    src/engine/held.c
    src/engine/others.c
    src/engine/capture_needs.c
    src/engine/connection.c
    src/engine/bypasses.c
    src/engine/engine.c
)

# Windows: driver, processes, TCP table, log, and the public calls.
set(WINDOWS_SOURCES
    src/windows/divert_load.c
    src/windows/divert_open.c
    src/windows/divert_ring.c
    src/windows/divert_task.c
    src/windows/divert_claim.c
    src/windows/divert_leave.c
    src/windows/divert_filter.c
    src/windows/divert_meta.c
    src/windows/divert_error.c
    src/windows/process.c
    src/windows/process_job.c
    src/windows/job_members.c
    src/windows/process_table.c
    src/windows/process_watch.c
    src/windows/debug_privilege.c
    src/windows/job_object.c
    src/windows/tcptable.c
    src/windows/table_reader.c
    src/windows/address_watch.c
    src/windows/firewall_profiles.c
    src/windows/firewall_permit.c
    src/windows/own_connection.c
    src/windows/path.c
    src/windows/text.c
    src/windows/shared_thread.c
    src/windows/stack_guard.c
    src/log.c
    src/log_file.c
    src/error.c
    src/service.c
    src/statistics.c
    src/roots.c
    src/request.c
    src/decide.c
    src/flows.c
    src/queue_delay.c
    src/host.c
    src/table_feed.c
    src/loop.c
    src/packet_handles.c
    src/watchdog.c
    src/firewall.c
    src/proof.c
    src/proof_task.c
    src/config.c
    src/ffi.c
    src/classic.c
    src/classic_start.c
)

# The program redirector.exe.
set(CLI_SOURCES
    cli/main.c
    cli/address.c
    cli/attach.c
    cli/bench.c
    cli/bench_load.c
    cli/capture.c
    cli/capture_flows.c
    cli/child.c
    cli/console.c
    cli/control.c
    cli/control_answer.c
    cli/dial.c
    cli/tap.c
    cli/doctor.c
    cli/doctor_driver.c
    cli/doctor_filters.c
    cli/doctor_firewall.c
    cli/doctor_machine.c
    cli/doctor_report.c
    cli/doctor_system.c
    cli/doctor_try.c
    cli/driver.c
    cli/elsewhere.c
    cli/help.c
    cli/host_name.c
    cli/json.c
    cli/live.c
    cli/live_format.c
    cli/options.c
    cli/mask.c
    cli/output.c
    cli/output_queue.c
    cli/pass_loop.c
    cli/pattern.c
    cli/pcapng.c
    cli/privilege.c
    cli/processes.c
    cli/ps.c
    cli/query.c
    cli/quic.c
    cli/relay.c
    cli/relay_conn.c
    cli/relay_connect.c
    cli/relay_open.c
    cli/relay_listen.c
    cli/relay_loop.c
    cli/relay_name.c
    cli/relay_socket.c
    cli/report.c
    cli/report_json.c
    cli/report_text.c
    cli/resolve.c
    cli/run.c
    cli/session.c
    cli/tcp_rows.c
    cli/text.c
    cli/tree.c
    cli/udp_owner.c
    cli/unload.c
    cli/upstream.c
    cli/upstream_talk.c
    cli/upstream_try.c
    cli/flow_snapshot.c
    cli/watch.c
    cli/worker.c
    src/windows/firewall_profiles.c # needs nothing else of the library
)

# engine_as_one(<target>): the packet's way through the engine, compiled as one file, so that what is called for each packet
# is inlined: a third fewer instructions. The native test builds compile the files one by one.
function(engine_as_one target)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "src/engine/(packet|checksum|rewrite|tuple_map|flow|translate|engine)[.]c$")
    set_source_files_properties(${sources} PROPERTIES UNITY_GROUP engine)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()
