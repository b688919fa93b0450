# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What is built for Windows.

# The system libraries a program may count on when it links the archive; nothing else is needed. WinDivert, iphlpapi
# and fwpuclnt are loaded at run time.
set(SYSTEM_LIBRARIES ws2_32 userenv ntdll advapi32 ole32 oleaut32)

# version_resource(<target> <file> <type> <description>): puts the version where Windows shows it.
function(version_resource target file type description)
    set(RESOURCE_FILE "${file}")
    set(RESOURCE_TYPE "${type}")
    set(RESOURCE_DESCRIPTION "${description}")
    enable_language(RC)
    configure_file(cmake/version.rc.in "${target}.rc" @ONLY)
    target_sources(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/${target}.rc")
endfunction()
enable_language(RC)

# seal(<target>): see seal.cmake.
function(seal target)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM COMMAND "${CMAKE_COMMAND}" "-DARCHIVE=$<TARGET_FILE:${target}>"
        "-DNM=${CMAKE_NM}" "-DOBJCOPY=${CMAKE_OBJCOPY}" "-DAR=${CMAKE_AR}"
        "-DLD=$<$<C_COMPILER_ID:GNU>:${CMAKE_LINKER}>" -P "${PROJECT_SOURCE_DIR}/cmake/seal.cmake")
endfunction()

# precompile(<target> HEADERS...): Windows' headers are read once per target, not once per file: that is nine tenths of
# the compiler's time. They are no licence to leave out an include: the static checks read each file without them. The
# stack guard's names stand before all else (src/windows/stack_guard.h).
function(precompile target)
    target_precompile_headers(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src/windows/stack_guard.h" ${ARGN})
endfunction()

# The archive: self-contained, so that a cgo program links this one file. Its objects are compiled without
# REDIRECTOR_BUILD_DLL: an exported symbol in an archive makes every program that links it export that symbol too.
add_library(windows_redirector_static STATIC ${ENGINE_SOURCES} ${WINDOWS_SOURCES})
set_target_properties(windows_redirector_static PROPERTIES OUTPUT_NAME windows_redirector PREFIX lib)
engine_as_one(windows_redirector_static)
precompile(windows_redirector_static <winsock2.h> <windows.h>)
seal(windows_redirector_static)
target_include_directories(windows_redirector_static PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
target_link_libraries(windows_redirector_static PRIVATE $<BUILD_INTERFACE:redirector_flags> PUBLIC ${SYSTEM_LIBRARIES})

# The DLL: exports what the public header declares and nothing else (tests/abi compares with a list).
add_library(windows_redirector SHARED ${ENGINE_SOURCES} ${WINDOWS_SOURCES})
set_target_properties(windows_redirector PROPERTIES PREFIX "")
engine_as_one(windows_redirector)
precompile(windows_redirector <winsock2.h> <windows.h>)
target_compile_definitions(windows_redirector PRIVATE REDIRECTOR_BUILD_DLL INTERFACE REDIRECTOR_USE_DLL)
target_include_directories(windows_redirector PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
target_link_options(windows_redirector PRIVATE -Wl,--exclude-all-symbols)
target_link_libraries(windows_redirector PRIVATE redirector_flags ${SYSTEM_LIBRARIES})
version_resource(windows_redirector windows_redirector.dll VFT_DLL "${PROJECT_DESCRIPTION}")

# The import library for Microsoft's linker, in the form that its own tools make, from what the linker says that the DLL
# exports.
find_program(LLVM_DLLTOOL NAMES llvm-dlltool llvm-dlltool-14)
if(LLVM_DLLTOOL)
    target_link_options(windows_redirector PRIVATE "LINKER:--output-def,${PROJECT_BINARY_DIR}/windows_redirector.def")
    add_custom_command(TARGET windows_redirector POST_BUILD VERBATIM WORKING_DIRECTORY "${PROJECT_BINARY_DIR}"
        COMMAND "${LLVM_DLLTOOL}" -m i386:x86-64 -d windows_redirector.def -D windows_redirector.dll
            -l windows_redirector.lib
        BYPRODUCTS windows_redirector.lib)
else()
    message(STATUS "windows_redirector.lib, for Microsoft's linker, is not made: there is no llvm-dlltool (LLVM_DLLTOOL)")
endif()

# The names that find_package gives, for projects that have this one inside (FetchContent). Those want no more of it.
add_library(windows_redirector::dll ALIAS windows_redirector)
add_library(windows_redirector::static ALIAS windows_redirector_static)
if(NOT PROJECT_IS_TOP_LEVEL)
    return()
endif()

# The program, with the library inside.
add_executable(redirector ${CLI_SOURCES})
precompile(redirector <winsock2.h> <ws2tcpip.h> <windows.h>)
target_link_options(redirector PRIVATE -municode)
# mingw's headers do not declare wmain, which -municode asks for.
set_source_files_properties(cli/main.c PROPERTIES COMPILE_OPTIONS -Wno-missing-prototypes)
target_link_libraries(redirector PRIVATE redirector_flags windows_redirector_static)
version_resource(redirector redirector.exe VFT_APP "windows-redirector command line")

include(keploy/keploy.cmake)

add_test(NAME abi COMMAND "${PROJECT_SOURCE_DIR}/tests/abi/run" "${PROJECT_BINARY_DIR}")
