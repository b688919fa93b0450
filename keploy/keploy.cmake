# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The archive for Keploy, <build>/keploy/libwindows_redirector.a: the objects of the ordinary one, but for
# start_redirector(), which has six arguments there.

add_library(keploy_archive STATIC keploy/start_redirector.c
    $<FILTER:$<TARGET_OBJECTS:windows_redirector_static>,EXCLUDE,/classic_start\\.c>)
set_target_properties(keploy_archive PROPERTIES
    OUTPUT_NAME windows_redirector PREFIX lib ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/keploy")
target_precompile_headers(keploy_archive REUSE_FROM windows_redirector_static)
target_link_libraries(keploy_archive PRIVATE redirector_flags)
seal(keploy_archive)
