# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Toolchain: Windows x64 with clang, and headers, libraries and binutils of Debian's mingw-w64.

include("${CMAKE_CURRENT_LIST_DIR}/mingw-w64.cmake")
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_C_COMPILER_TARGET x86_64-w64-mingw32)
set(CMAKE_CXX_COMPILER_TARGET x86_64-w64-mingw32)

# Debian's name of that folder (12-win32) is no version to clang, so that it does not find it.
execute_process(COMMAND x86_64-w64-mingw32-gcc -print-file-name=libgcc.a OUTPUT_VARIABLE LIBGCC
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
cmake_path(GET LIBGCC PARENT_PATH LIBGCC_FOLDER)
foreach(KIND EXE SHARED MODULE)
    set(CMAKE_${KIND}_LINKER_FLAGS_INIT "-L${LIBGCC_FOLDER}")
endforeach()
