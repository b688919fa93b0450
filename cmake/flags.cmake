# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Compiler and linker flags, as one interface target that everything links: redirector_flags.

add_library(redirector_flags INTERFACE)
target_include_directories(redirector_flags INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_compile_options(redirector_flags INTERFACE
    -Wall -Wextra -Wconversion $<IF:$<C_COMPILER_ID:GNU>,-Wshadow=local,-Wshadow> -Wundef -Wvla -Wformat=2 -Wno-format-nonliteral -Wwrite-strings
    -Wpointer-arith -Wimplicit-fallthrough
    # These are never mere warnings.
    $<$<COMPILE_LANGUAGE:C>:-Werror=implicit-function-declaration -Werror=incompatible-pointer-types>
    $<$<COMPILE_LANGUAGE:C>:-Werror=int-conversion>
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
    # The same sources give the same files, wherever the tree stands.
    "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")

if(RESTLESS)
    target_compile_definitions(redirector_flags INTERFACE CAPTURE_RESTLESS) # src/engine/capture_plan.c
endif()

if(SANITIZE)
    # -O1 keeps the stack traces true and the tests quick (a fuzzer lives on speed); the first finding ends the test.
    target_compile_options(redirector_flags INTERFACE
        $<IF:$<BOOL:${FUZZ}>,-O2,-O1> -fno-omit-frame-pointer "-fsanitize=${SANITIZE}" -fno-sanitize-recover=all)
    target_link_options(redirector_flags INTERFACE "-fsanitize=${SANITIZE}")
endif()

if(WIN32)
    string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
    target_compile_definitions(redirector_flags INTERFACE _WIN32_WINNT=0x0A00 WINVER=0x0A00 UNICODE _UNICODE)
    # The stack protector with a guard of our own (src/windows/stack_guard.c): mingw-w64's comes in a DLL. For the same
    # reason there is no _FORTIFY_SOURCE. Control flow guard is not in GCC, and without the linker's CET mark, which GNU
    # ld cannot set, -fcf-protection does nothing on Windows.
    target_compile_options(redirector_flags INTERFACE
        $<$<COMPILE_LANGUAGE:C>:-fstack-protector-strong>)
    target_link_options(redirector_flags INTERFACE
        -static-libgcc
        -Wl,--gc-sections -Wl,--dynamicbase -Wl,--nxcompat -Wl,--high-entropy-va
        -Wl,--no-insert-timestamp
        $<$<CONFIG:Release>:-Wl,--strip-all>)
    # Archives without time stamps and user ids, for the same reason.
    set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <LINK_FLAGS> <OBJECTS>")
    set(CMAKE_C_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")
endif()
