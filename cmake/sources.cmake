# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The one list of the library's sources. Every build (DLL, archive, native engine, sanitizers) takes its files here.

# Pure C, no operating system: built for Windows and, under sanitizers, for Linux.
set(ENGINE_SOURCES
    src/engine/packet.c
    src/engine/checksum.c
    src/engine/rewrite.c
    src/engine/tuple_map.c
    src/engine/flow.c
    src/engine/destinations.c
    src/engine/pending.c
    src/engine/process_tree.c
    src/engine/connection.c
    src/engine/reset.c
    src/engine/listeners.c
    src/engine/rules.c
    src/engine/port_set.c
    src/engine/cover.c
    src/engine/coverage.c
    src/engine/flow_list.c
    src/engine/engine.c
)

# Windows: driver, processes, TCP table, log, and the public calls.
set(WINDOWS_SOURCES
    src/windows/divert_load.c
    src/windows/divert_open.c
    src/windows/divert_ring.c
    src/windows/divert_task.c
    src/windows/divert_filter.c
    src/windows/divert_meta.c
    src/windows/divert_error.c
    src/windows/process.c
    src/windows/process_job.c
    src/windows/job_object.c
    src/windows/tcptable.c
    src/windows/path.c
    src/windows/text.c
    src/windows/stack_guard.c
    src/log.c
    src/log_file.c
    src/error.c
    src/service.c
    src/roots.c
    src/request.c
    src/flows.c
    src/queue_delay.c
    src/loop.c
    src/diversion.c
    src/watchdog.c
    src/config.c
    src/ffi.c
    src/classic.c
    src/classic_start.c
)

# The program redirector.exe.
set(CLI_SOURCES
    cli/main.c
    cli/options.c
    cli/run.c
    cli/child.c
    cli/console.c
    cli/relay.c
    cli/relay_conn.c
    cli/report.c
    cli/report_format.c
    cli/output.c
    cli/text.c
)

# engine_as_one(<target>): the packet's way through the engine, compiled as one file, so that what is called for each packet
# is inlined: a third fewer instructions. The native test builds compile the files one by one.
function(engine_as_one target)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "src/engine/(packet|checksum|rewrite|tuple_map|flow|engine)[.]c$")
    set_source_files_properties(${sources} PROPERTIES UNITY_GROUP engine)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()
