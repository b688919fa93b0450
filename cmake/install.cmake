# SPDX-License-Identifier: LGPL-3.0-or-later
#
# cmake --install: the program and the library for programs that are built elsewhere, found by CMake
# (find_package(windows_redirector)) and by pkg-config. All of it can be moved as a whole: nothing knows where it lies.
include(CMakePackageConfigHelpers)

set(CONFIG_FOLDER lib/cmake/windows_redirector)

install(TARGETS redirector RUNTIME DESTINATION bin)
install(TARGETS windows_redirector windows_redirector_static EXPORT targets
    RUNTIME DESTINATION bin LIBRARY DESTINATION lib ARCHIVE DESTINATION lib INCLUDES DESTINATION include)
install(TARGETS keploy_archive ARCHIVE DESTINATION lib/keploy)
install(FILES include/windows_redirector.h DESTINATION include)
if(LLVM_DLLTOOL)
    install(FILES "${PROJECT_BINARY_DIR}/windows_redirector.lib" DESTINATION lib)
endif()

# The names that other projects see: windows_redirector::dll and windows_redirector::static.
set_target_properties(windows_redirector PROPERTIES EXPORT_NAME dll)
set_target_properties(windows_redirector_static PROPERTIES EXPORT_NAME static)
install(EXPORT targets NAMESPACE windows_redirector:: FILE windows_redirector-targets.cmake
    DESTINATION ${CONFIG_FOLDER})

configure_package_config_file(cmake/windows_redirector-config.cmake.in windows_redirector-config.cmake
    INSTALL_DESTINATION ${CONFIG_FOLDER} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 each minor version may change the extended calls.
write_basic_package_version_file(windows_redirector-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/windows_redirector-config.cmake"
    "${PROJECT_BINARY_DIR}/windows_redirector-config-version.cmake"
    DESTINATION ${CONFIG_FOLDER})

list(TRANSFORM SYSTEM_LIBRARIES PREPEND "-l" OUTPUT_VARIABLE SYSTEM_LIBRARY_FLAGS)
list(JOIN SYSTEM_LIBRARY_FLAGS " " SYSTEM_LIBRARY_FLAGS)
configure_file(cmake/windows_redirector.pc.in windows_redirector.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/windows_redirector.pc" DESTINATION lib/pkgconfig)
