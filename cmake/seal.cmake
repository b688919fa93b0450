# SPDX-License-Identifier: LGPL-3.0-or-later
#
#   cmake -DARCHIVE=lib.a -DNM=... -DOBJCOPY=... -DAR=... [-DLD=...] -P seal.cmake
#
# Makes one object of the archive's, which saves a third of its size: a program that uses one of them uses nearly all, and
# what they call of each other needs no names. Not without a GNU linker: lld joins no objects of Windows'. Then puts
# `wredir_` before the name of everything in the archive that is not part of the interface, so that a program may have a
# log_open() of its own. Names that are local to one object file are left out: no linker needs them.

if(LD)
    cmake_path(REPLACE_FILENAME ARCHIVE windows_redirector.obj OUTPUT_VARIABLE WHOLE)
    execute_process(COMMAND "${LD}" -r -o "${WHOLE}" --whole-archive "${ARCHIVE}" COMMAND_ERROR_IS_FATAL ANY)
    file(REMOVE "${ARCHIVE}")
    execute_process(COMMAND "${AR}" crD "${ARCHIVE}" "${WHOLE}" COMMAND_ERROR_IS_FATAL ANY)
    file(REMOVE "${WHOLE}")
endif()

set(PUBLIC "^(redirector_.*|wredir_.*|start_redirector|stop_redirector|get_destination|delete_destination|free_windest)$")

execute_process(COMMAND "${NM}" --extern-only --defined-only --format=posix "${ARCHIVE}"
    OUTPUT_VARIABLE SYMBOLS COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "(^|\n)[^ \n]+ [A-Z] " SYMBOLS "${SYMBOLS}")
list(TRANSFORM SYMBOLS STRIP)
list(REMOVE_DUPLICATES SYMBOLS)
set(RENAMED "")
foreach(SYMBOL IN LISTS SYMBOLS)
    string(REGEX REPLACE "^([^ ]+) .*" "\\1" NAME "${SYMBOL}")
    # What the compiler makes to reach a name of another object is called after it.
    string(REGEX MATCH "^\\.refptr\\." PREFIX "${NAME}")
    string(REGEX REPLACE "^\\.refptr\\." "" NAME "${NAME}")
    # One leads to the stack protector's __stack_chk_guard; by clang's, a program that has another would not be linked.
    if((PREFIX AND NAME MATCHES "^__") OR NOT NAME MATCHES "${PUBLIC}|^__")
        string(APPEND RENAMED "${PREFIX}${NAME} ${PREFIX}wredir_${NAME}\n")
    endif()
endforeach()
file(WRITE "${ARCHIVE}.renamed" "${RENAMED}")
execute_process(COMMAND "${OBJCOPY}" --enable-deterministic-archives --discard-all "--redefine-syms=${ARCHIVE}.renamed" "${ARCHIVE}"
    COMMAND_ERROR_IS_FATAL ANY)
