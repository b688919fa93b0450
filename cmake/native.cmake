# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What is built for Linux: the engine, and each tests/unit/test_*.c as a test program of its own.

find_package(cmocka REQUIRED)

add_library(engine STATIC ${ENGINE_SOURCES})
target_link_libraries(engine PUBLIC redirector_flags)

add_library(world STATIC tests/world/world.c) # the host that the tests give to the engine
target_include_directories(world PUBLIC tests/world)
target_link_libraries(world PUBLIC engine)

file(GLOB unit_tests CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/tests/unit/test_*.c" "${PROJECT_SOURCE_DIR}/tests/property/test_*.c")
foreach(source IN LISTS unit_tests)
    cmake_path(GET source STEM name)
    add_executable(${name} ${source})
    target_include_directories(${name} PRIVATE tests/unit)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE) # tests may use all of Linux; the engine is plain C11
    target_link_libraries(${name} PRIVATE world cmocka)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)

    # A test that starts threads is run once more under ThreadSanitizer by tests/run.
    file(STRINGS "${source}" threads REGEX "^#include <(pthread|threads)\\.h>")
    if(threads)
        set_tests_properties(${name} PROPERTIES LABELS threads)
        target_link_libraries(${name} PRIVATE pthread)
    endif()
endforeach()
