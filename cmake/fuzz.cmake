# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What is built for fuzzing (preset native-fuzz, clang): each fuzz/*.c as a libFuzzer program of its own.

find_package(cmocka REQUIRED) # the models of tests/property assert by it

add_library(engine STATIC ${ENGINE_SOURCES} src/windows/divert_meta.c)
target_link_libraries(engine PUBLIC redirector_flags)
target_compile_options(engine PUBLIC -Wno-unknown-warning-option -Wno-missing-prototypes)

add_library(world STATIC tests/world/world.c) # the host that the targets give to the engine
target_include_directories(world PUBLIC tests/world)
target_link_libraries(world PUBLIC engine)

file(GLOB fuzz_targets CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/fuzz/*.c")
foreach(source IN LISTS fuzz_targets)
    cmake_path(GET source STEM name)
    add_executable(fuzz_${name} ${source})
    target_include_directories(fuzz_${name} PRIVATE tests/unit)
    target_compile_definitions(fuzz_${name} PRIVATE _GNU_SOURCE)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${name} PRIVATE world cmocka)
endforeach()

# The references in these are slow and have nothing to find: only what is under test guides the fuzzer. (In the others
# the model's decisions do, too.)
foreach(name packet intake rules text host_name dns_message quic_initial rules_file datagram upstream_talk)
    set_source_files_properties("${PROJECT_SOURCE_DIR}/fuzz/${name}.c" PROPERTIES COMPILE_OPTIONS
        "-fno-sanitize=fuzzer-no-link")
endforeach()

# Of Windows' layer, what needs next to nothing of Windows.
target_sources(fuzz_text PRIVATE src/windows/text.c)
target_include_directories(fuzz_text BEFORE PRIVATE fuzz/shim)
target_compile_options(fuzz_text PRIVATE -fshort-wchar)

# Of the program, what reads strangers' bytes.
target_sources(fuzz_host_name PRIVATE cli/host_name.c)
target_sources(fuzz_rules_file PRIVATE cli/rules_file.c cli/rules_line.c cli/rules_place.c)
target_sources(fuzz_dns_message PRIVATE cli/dns_addresses.c cli/dns_message.c cli/dns_reader.c cli/address.c)
target_include_directories(fuzz_dns_message BEFORE PRIVATE fuzz/shim)
target_sources(fuzz_upstream_talk PRIVATE cli/upstream_talk.c cli/socks_udp.c cli/address.c)
target_include_directories(fuzz_upstream_talk BEFORE PRIVATE fuzz/shim)
target_sources(fuzz_quic_initial PRIVATE cli/quic_initial.c cli/host_name.c)
