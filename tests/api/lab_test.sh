#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The extended calls and the examples against a driver, in a lab of their own (lab/lab): api_test.c, linked with the
# DLL, the programs of examples/, linked with the archive, and those in Rust, which compile the library themselves. Takes the library from build/mingw-release, or from the
# build folder given. Prints a line per test and ends "N passed, N failed".
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/mingw-release}
# shellcheck source=../../lab/lib/suite.sh
. "$root/lab/lib/suite.sh" api
# shellcheck source=../lab/checks.sh
. "$root/tests/lab/checks.sh"

# compile COMPILER PROGRAM SOURCE... : strictly
compile() {
    local compiler=$1 program=$2
    shift 2
    "x86_64-w64-mingw32-$compiler" -O1 -Wall -Wextra -Werror -I"$root/include" "$@" -o "$work/$program" \
        >"$work/$program.log" 2>&1 || give_up "$program does not build" "$work/$program.log"
}

[ -f "$build/windows_redirector.dll" ] || give_up "$build/windows_redirector.dll is missing; build the CMake preset"
need_lab

archive=("$build/libwindows_redirector.a" -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32)
compile gcc api_test.exe -std=c11 -DREDIRECTOR_USE_DLL "$root"/tests/api/{api_test,worker}.c \
    "$build/libwindows_redirector.dll.a" -lws2_32
compile gcc forward.exe -std=c11 "$root/examples/c/forward.c" "${archive[@]}"
compile gcc watch.exe -std=c11 "$root/examples/c/watch.c" "${archive[@]}"
compile g++ rules.exe -std=c++17 -static "$root/examples/cpp/rules.cpp" "${archive[@]}"
"$root/tests/bindings/crates.py" "$work" >"$work/crates" 2>&1 || give_up "the programs in Rust do not build" "$work/crates"
if x86_64-w64-mingw32-objdump -p "$work/rust_forward.exe" | grep -iE 'DLL Name: (lib|windows_redirector)' >"$work/imports"; then
    fail "Rust: the program needs DLLs of the compiler or the library" "$work/imports"
else
    ok "Rust: the program needs no DLL of the compiler or the library"
fi

raise_lab
cp "$work"/*.exe "$build/windows_redirector.dll" "$stage/"

# A server on the other host that says "W" to whoever comes.
"$root/lab/lab" run server -- python3 -c '
import socket
server = socket.create_server(("10.77.0.2", 7001))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"W")
    connection.close()
' >"$work/server" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; "$root/lab/lab" down >/dev/null 2>&1 </dev/null; rm -rf "$work"' EXIT

windows_checks 240 api_test.exe

for _ in $(seq 300); do
    grep -q ready "$work/server" && break
    sleep 0.1
done
timeout 120 "$root/lab/lab" wine forward.exe "api_test.exe visit 10.77.0.2 7001" >"$work/forward" 2>&1 </dev/null
status=$?
if [ $status = 7 ] && grep -qE '^pid [0-9]+ -> 10\.77\.0\.2 port 7001' "$work/forward"; then
    ok "forward.c leads a program's connection on, tells of it, and ends with the program's status"
else
    fail "forward.c: status $status, not 7" "$work/forward"
fi

# rust NAME STATUS PATTERN: that program ends so, and says so of the connection.
rust() {
    local name=$1 wanted=$2 pattern=$3 status
    timeout 120 "$root/lab/lab" wine "rust_$name.exe" api_test.exe visit 10.77.0.2 7001 >"$work/$name" 2>&1 </dev/null
    status=$?
    if [ $status = "$wanted" ] && grep -qE "$pattern" "$work/$name"; then
        ok "Rust: $name tells where a program's connection was going, and ends with status $wanted"
    else
        fail "Rust: $name: status $status, not $wanted" "$work/$name"
    fi
}
rust forward 7 '^pid [0-9]+ -> 10\.77\.0\.2:7001'
rust watch 0 '^process [0-9]+ was on its way to 10\.77\.0\.2:7001'

# The Python package in a Python for Windows, which takes nothing but pipes for its three files. (Wine's background
# services inherit the one that is written to; it ends with the lab.)
python=$root/build/tools/windows_python/python.exe
[ -f "$python" ] || give_up "$python is missing: packaging/tools.sh windows_python"
site=$stage/site
divert=${WINDIVERT_DIR:-$root/build/windivert}
mkdir -p "$site" && cp -r "$root/python/windows_redirector" "$site/" && mkdir -p "$site/windows_redirector/bin" &&
    cp "$build"/{windows_redirector.dll,redirector.exe} "$divert"/WinDivert{.dll,64.sys} "$site/windows_redirector/bin/"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=Z:${site//\//\\} timeout 120 "$root/lab/lab" wine "$python" \
    "Z:${root//\//\\}\\tests\\api\\lab_python.py" "Z:${stage//\//\\}" \
    < <(tail --pid=$$ -f /dev/null) > >(cat >"$work/python") 2>&1
for _ in $(seq 100); do # for the last line, which may still be on its way
    grep -q ' passed, ' "$work/python" && break
    sleep 0.1
done
count_checks "lab_python.py has no good end" "$work/python"
closing_count
