# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What is built for Linux: the engine, and each tests/unit/test_*.c as a test program of its own.

find_package(cmocka REQUIRED)

add_library(engine STATIC ${ENGINE_SOURCES})
target_link_libraries(engine PUBLIC redirector_flags)

add_library(world STATIC tests/world/world.c) # the host that the tests give to the engine
target_include_directories(world PUBLIC tests/world)
target_link_libraries(world PUBLIC engine)

# The jobs that keep the tree, on a kernel of tests.
add_library(kernel STATIC tests/world/kernel/kernel.c tests/world/kernel/kernel_jobs.c
    src/windows/process.c src/windows/process_job.c src/windows/job_members.c
    src/windows/job_object.c src/windows/process_table.c)
target_include_directories(kernel PUBLIC tests/world/kernel)
target_link_libraries(kernel PUBLIC engine)

add_custom_target(threads) # builds what is run under ThreadSanitizer

file(GLOB unit_tests CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/tests/unit/test_*.c" "${PROJECT_SOURCE_DIR}/tests/property/test_*.c")
foreach(source IN LISTS unit_tests)
    cmake_path(GET source STEM name)
    add_executable(${name} ${source})
    target_include_directories(${name} PRIVATE tests/unit)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE) # tests may use all of Linux; the engine is plain C11
    target_link_libraries(${name} PRIVATE world cmocka)
    file(STRINGS "${source}" on_kernel REGEX "^#include \"follower\\.h\"")
    if(on_kernel)
        target_link_libraries(${name} PRIVATE kernel)
    endif()
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)

    # A test that starts threads is run once more under ThreadSanitizer by tests/run.
    file(STRINGS "${source}" threads REGEX "^#include <(pthread|threads)\\.h>")
    if(threads)
        set_tests_properties(${name} PROPERTIES LABELS threads)
        add_dependencies(threads ${name})
        target_link_libraries(${name} PRIVATE pthread)
    endif()
endforeach()

# Of the program, what is plain C.
target_sources(test_rules_file PRIVATE cli/rules_file.c cli/rules_line.c cli/rules_place.c)
target_sources(test_dns_message PRIVATE cli/dns_message.c cli/dns_reader.c cli/address.c)
target_sources(test_dns_addresses PRIVATE cli/dns_addresses.c cli/dns_reader.c)
target_include_directories(test_dns_message BEFORE PRIVATE fuzz/shim)
target_sources(test_quic_initial PRIVATE cli/quic_initial.c cli/host_name.c)
