#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# tests/e2e/build.sh PRESET   builds the Windows programs of the end-to-end tests into build/e2e/PRESET, and first the
# library: a stale one would be tested with much patience.
set -eu
cd "$(dirname "$0")/../.."
preset=$1
out=build/e2e/$preset
library=build/$preset
cc=x86_64-w64-mingw32-gcc
flags=(-std=c11 -O2 -Wall -Wextra -Werror -D_WIN32_WINNT=0x0A00 -D__USE_MINGW_ANSI_STDIO=1 -Iinclude)
programs=tests/e2e/programs
common=("$programs"/{actor,stream,endpoint,datagram,serve,burst,process,upstream}.c)
agent=("$programs"/{agent,proxy,datagram_proxy,relay,redirect,hammer,measure,freeze}.c)
mkdir -p "$out/other_version"
scripts/build.sh "$preset"

newer() { # TARGET: is it older than one of its sources?
    [ ! -e "$1" ] || [ -n "$(find "$programs" include "$library"/*.a "$0" -newer "$1" -print -quit)" ]
}

if newer "$out/other_version/WinDivert.dll"; then
    mapfile -t first < <(scripts/windows_headers.sh "build/e2e" "$cc" "${flags[@]}")
    flags+=("${first[@]}")
    "$cc" "${flags[@]}" "$programs/probe.c" "${common[@]}" -o "$out/probe.exe" -lws2_32
    "$cc" "${flags[@]}" -DREDIRECTOR_USE_DLL "${agent[@]}" "${common[@]}" -o "$out/agent.exe" \
        "$library/libwindows_redirector.dll.a" -lws2_32
    "$cc" "${flags[@]}" "${agent[@]}" "${common[@]}" -o "$out/agent_static.exe" \
        "$library/libwindows_redirector.a" -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32
    "$cc" "${flags[@]}" "$programs/hasty.c" -o "$out/hasty.exe" -lws2_32
    "$cc" "${flags[@]}" -shared "$programs/other_version.c" -o "$out/other_version/WinDivert.dll"
fi

# Real clients need modules that others wrote, and so, the first time, a network. Without them only their scenarios fail.
clients=tests/e2e/clients
if [ ! -e "$out/clients.exe" ] || [ -n "$(find $clients -newer "$out/clients.exe" -print -quit)" ]; then
    rm -f "$out/clients.exe"
    (
        cd $clients
        go=/usr/lib/go-1.19/bin/go # programs of Go 1.22 and later do not run under Wine 8
        CGO_ENABLED=0 $go build -trimpath -o "$OLDPWD/build/e2e/clients" . &&
            GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $go build -trimpath -o "$OLDPWD/$out/clients.exe" .
    ) >build/e2e/clients.log 2>&1 || echo "build    tests/e2e/clients FAILED (log: build/e2e/clients.log)"
fi
cp "$library/windows_redirector.dll" "$out/"
[ "$preset" = mingw-restless ] || cp "$library/redirector.exe" "$out/" # that preset is the library alone
