#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the library, the lab and the benchmark's Windows program (into build/bench/win, with the tests' probe).
set -eu
cd "$(dirname "$0")/.."
out=build/bench/win
library=build/mingw-release
programs=tests/e2e/programs
cc=x86_64-w64-mingw32-gcc
flags=(-std=c11 -O2 -Wall -Wextra -Werror -D_WIN32_WINNT=0x0A00 -D__USE_MINGW_ANSI_STDIO=1)
flags+=(-Iinclude -Icli "-I$programs")
mkdir -p "$out"
scripts/build.sh mingw-release lab
probe=("$programs"/{probe,actor,stream,endpoint,datagram,serve,burst,process,upstream}.c)
"$cc" "${flags[@]}" "${probe[@]}" -o "$out/probe.exe" -lws2_32
# All that the tests' agent is made of, but its main().
mapfile -t agent < <(grep -LE '^int w?main\(' "$programs"/*.c | grep -v /other_version.c)
"$cc" "${flags[@]}" -DREDIRECTOR_USE_DLL bench/programs/{bench,pass,load,forward}.c cli/{pass_loop,worker}.c "${agent[@]}" \
    -o "$out/bench.exe" "$library/libwindows_redirector.dll.a" -lws2_32
cp "$library/windows_redirector.dll" "$library/redirector.exe" "$out/"
