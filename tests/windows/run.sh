#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the tests of the Windows layer and runs them under Wine, in a network namespace of their own and with the Wine
# prefix of WINEPREFIX, or else one of their own, so that nothing leaves the machine and nobody's Wine is touched.
#
#   tests/windows/run.sh [test...]     all tests, or those named (error log log_file divert ring meta filter process job tcptable firewall owner addresses own_connection security)
#
# OUT: where everything is put (default: build/windows-tests). WINDIVERT_DIR: folder of the genuine WinDivert.dll;
# without it (and without build/windivert) the tests that load it are skipped.
set -eu -o pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
out=${OUT:-$root/build/windows-tests}
compiler=${CC_WINDOWS:-x86_64-w64-mingw32-gcc}
flags=(-std=c11 -O1 -g -Wall -Wextra -Wconversion -Wshadow -Werror -DUNICODE -D_UNICODE -D_WIN32_WINNT=0x0A00
    "-I$root/src" "-I$root/include" "-I$root/tests/windows")
# One test is about the stack protector, and has it as the library has (cmake/flags.cmake).
guarded=(-municode -fstack-protector-strong -include "$root/src/windows/stack_guard.h")
libraries="-lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32"
genuine=${WINDIVERT_DIR:-$root/build/windivert}
tests=("$@")
[ $# -gt 0 ] || tests=(error log log_file divert ring meta filter process job tcptable firewall owner addresses own_connection security)

if [ -z "${INSIDE_NAMESPACE:-}" ]; then
    INSIDE_NAMESPACE=1 exec unshare --net -- "$0" "$@"
fi
ip link set lo up
ip addr add 10.99.0.1/24 dev lo # one that is not loopback

build()
{
    local name object
    local -a first options
    mkdir -p "$out"/{objects,scratch,dlls/{fake,old,empty,text,genuine}}
    mapfile -t first < <("$root/scripts/windows_headers.sh" "$out" "$compiler" "${flags[@]}")
    for source in "$root"/src/{error,log,log_file,engine/port_set,engine/own_addresses,engine/table_talk}.c "$root"/src/windows/*.c; do
        object=$out/objects/$(basename "$source" .c).o
        $compiler "${flags[@]}" "${first[@]}" -c "$source" -o "$object"
    done
    for name in "${tests[@]}"; do
        options=("${first[@]}")
        [ "$name" != security ] || options=("${guarded[@]}")
        $compiler "${flags[@]}" "${options[@]}" "$root/tests/windows/test_$name.c" "$out"/objects/*.o \
            -o "$out/test_$name.exe" $libraries -lshell32
    done
    local -a dll=("$compiler" "${flags[@]}" "${first[@]}" -shared)
    "${dll[@]}" "$root/tests/windows/fake_windivert.c" -o "$out/dlls/fake/WinDivert.dll"
    "${dll[@]}" -DOLD_VERSION "$root/tests/windows/fake_windivert.c" -o "$out/dlls/old/WinDivert.dll"
    "${dll[@]}" "$root/tests/windows/empty_dll.c" -o "$out/dlls/empty/WinDivert.dll"
    "${dll[@]}" "$root/tests/windows/fake_iphlpapi.c" -o "$out/iphlpapi.dll"
    "${dll[@]}" "$root/tests/windows/empty_dll.c" -o "$out/fwpuclnt.dll"
    echo "not a DLL" >"$out/dlls/text/WinDivert.dll"
    # Without its driver: what happens then is one of the tests.
    if [ -f "$genuine/WinDivert.dll" ]; then
        cp "$genuine/WinDivert.dll" "$out/dlls/genuine/"
    fi
}

start_wine()
{
    export WINEPREFIX=${WINEPREFIX:-$out/prefix} WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
    unset DISPLAY WINDOWS_REDIRECTOR_LOG WINDOWS_REDIRECTOR_LOG_LEVEL
    wine=$root/scripts/wine64
    wineserver=$(command -v wineserver || echo /usr/lib/wine/wineserver)
    # A server from outside would make the tests' sockets in its own namespace.
    "$wineserver" -k 2>/dev/null && "$wineserver" -w || true
    trap '"$wineserver" -k 2>/dev/null || true' EXIT
    mkdir -p "$WINEPREFIX"
    "$wineserver" -p >/dev/null 2>&1 # stays until the end: starting anew for each test costs seconds
    [ -f "$WINEPREFIX/system.reg" ] || "$wine" wineboot -i >"$out/wineboot.log" 2>&1
}

# Output goes to a file: a pipe would stay open as long as Wine's background services.
run()
{
    local name=$1 status=0
    local -a arguments=()
    local system32=$WINEPREFIX/drive_c/windows/system32
    if [ "$name" = divert ]; then
        arguments=("$(windows_path "$out/dlls")")
        [ ! -f "$out/dlls/genuine/WinDivert.dll" ] || arguments+=("$(windows_path "$out/dlls/genuine")")
    fi
    if [ "$name" = filter ] && [ -f "$out/dlls/genuine/WinDivert.dll" ]; then
        arguments=("$(windows_path "$out/dlls/genuine")")
    fi
    [ "$name" != security ] && [ "$name" != ring ] || arguments=("$(windows_path "$out/dlls")")
    if [ "$name" = owner ] || [ "$name" = addresses ]; then
        mv "$system32/iphlpapi.dll" "$out/iphlpapi.wine.dll"
        cp "$out/iphlpapi.dll" "$system32/"
        export WINEDLLOVERRIDES="mscoree,mshtml=;iphlpapi=n"
    fi
    (cd "$out/scratch" && timeout 180 "$wine" "../test_$name.exe" ${arguments[@]+"${arguments[@]}"}) \
        >"$out/test_$name.log" 2>&1 || status=$?
    if [ "$name" = owner ] || [ "$name" = addresses ]; then
        mv "$out/iphlpapi.wine.dll" "$system32/iphlpapi.dll"
        export WINEDLLOVERRIDES="mscoree,mshtml="
    fi
    echo "== $name"
    tr -d '\r' <"$out/test_$name.log"
    # Wine gives a crashed program the status 0.
    if ! grep -Eq '^[0-9]+ passed, 0 failed' "$out/test_$name.log"; then
        echo "FAIL $name: failed, or did not come to its end (status $status)"
        return 1
    fi
    return "$status"
}

windows_path()
{
    echo "Z:${1//\//\\}"
}

build
start_wine
failed=0
for name in "${tests[@]}"; do
    run "$name" >"$out/$name.report" || failed=1
    sed -E 's/^[0-9]+ passed, /# &/' "$out/$name.report" # one count closes the whole, not each test's
done
reports=("${tests[@]/#/$out/}")
reports=("${reports[@]/%/.report}")
# total WORD: how many lines of all reports begin with it.
total() { cat "${reports[@]}" | grep -c "^$1 " || true; }
echo "$(total ok) passed, $(total FAIL) failed, $(total skip) skipped"
exit "$failed"
