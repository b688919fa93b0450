#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the library, the lab, and into build/faults/win the Windows programs of the fault matrix and of the soak: probe.exe and
# agent.exe, which are those of the end-to-end tests with more commands, and agent_scarce.exe, whose library runs out of
# memory on demand (programs/scarce.c). Then the engine's own test of that, for this machine, into build/faults.
set -eu
cd "$(dirname "$0")/../.."
out=build/faults/win
library=build/mingw-release
shared=tests/e2e/programs
own=tests/faults/programs
cc=x86_64-w64-mingw32-gcc
flags=(-std=c11 -O2 -Wall -Wextra -Werror -D_WIN32_WINNT=0x0A00 -D__USE_MINGW_ANSI_STDIO=1 -Iinclude "-I$shared")
imports=(VirtualAlloc VirtualFree CreateEventW CreateThread CreateIoCompletionPort CreateJobObjectW OpenProcess CreateFileW
    LoadLibraryExW CloseHandle GetSystemTimeAsFileTime GetSystemTimePreciseAsFileTime)
mkdir -p "$out"
scripts/build.sh mingw-release lab

common=("$shared"/{actor,stream,endpoint,datagram,serve,burst,process,upstream}.c "$own"/{resources,churn,rewriter}.c)
agent=("$own"/{agent_main,tell,storm}.c "$shared"/{proxy,datagram_proxy,relay,redirect,hammer,measure,freeze}.c)

if [ ! -e "$out/done" ] ||
    [ -n "$(find "$shared" tests/faults include "$library"/*.a -newer "$out/done" -print -quit)" ]; then
    mapfile -t first < <(scripts/windows_headers.sh build/faults "$cc" "${flags[@]}")
    flags+=("${first[@]}")
    "$cc" "${flags[@]}" "$own/probe_main.c" "${common[@]}" -o "$out/probe.exe" -lws2_32
    "$cc" "${flags[@]}" -DREDIRECTOR_USE_DLL "${agent[@]}" "${common[@]}" -o "$out/agent.exe" \
        "$library/libwindows_redirector.dll.a" -lws2_32
    renamed=(--redefine-sym __imp__strdup=import_strdup)
    for name in malloc calloc realloc free; do
        renamed+=(--redefine-sym "$name=scarce_$name")
    done
    for name in "${imports[@]}"; do
        renamed+=(--redefine-sym "__imp_$name=import_$name")
    done
    x86_64-w64-mingw32-objcopy "${renamed[@]}" "$library/libwindows_redirector.a" build/faults/scarce.a
    "$cc" "${flags[@]}" -DSCARCE "${agent[@]}" "$own/scarce.c" "${common[@]}" -o "$out/agent_scarce.exe" \
        build/faults/scarce.a -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32
    mkdir -p "$out/dlls"
    mapfile -t needed < <(sed -n 's/^ *{"\(WinDivert[[:alnum:]]*\)", .*/\1/p' src/windows/divert_load.c)
    for name in "${needed[@]}"; do
        {
            echo EXPORTS
            printf '%s=answer_nothing\n' "${needed[@]}" | grep -v "^$name="
        } >"build/faults/lacking.def"
        "$cc" "${flags[@]}" -shared "$own/lacking_dll.c" build/faults/lacking.def -o "$out/dlls/$name.dll"
    done
    touch "$out/done"
fi
cp "$library/windows_redirector.dll" "$out/"

if [ ! -e build/faults/engine_shortage ] ||
    [ -n "$(find src/engine tests/unit tests/world tests/faults/engine -newer build/faults/engine_shortage -print -quit)" ]; then
    gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
        -Iinclude -Isrc -Itests/unit -Itests/world tests/faults/engine/shortage.c tests/world/world.c src/engine/*.c \
        -o build/faults/engine_shortage \
        -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc -lcmocka
fi
