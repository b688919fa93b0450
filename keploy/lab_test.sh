#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The archive for Keploy, build/mingw-release/keploy/libwindows_redirector.a (or that of the build folder given): what
# it exports, whether it links as Keploy links it (cgo, the same link line and prototypes), and whether all modes work, in a
# lab of its own (lab/lab). Prints a line per test and ends "N passed, N failed".
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
archive=${1:-$root/build/mingw-release}/keploy/libwindows_redirector.a
# shellcheck source=../lab/lib/suite.sh
. "$root/lab/lib/suite.sh" kep
# shellcheck source=../tests/lab/checks.sh
. "$root/tests/lab/checks.sh"

[ -f "$archive" ] || give_up "$archive is missing; build the CMake preset mingw-release"
need_lab

export PATH="/usr/lib/go-1.19/bin:$PATH" # programs of Go 1.22 and later do not run under Wine 8
mkdir "$work/program"
cp "$root"/keploy/test/{go.mod,*.go} "$archive" "$work/program/"
(cd "$work/program" && env GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 CGO_ENABLED=1 \
    CC=x86_64-w64-mingw32-gcc go build -o "$work/keploy_test.exe" .) >"$work/link" 2>&1 || give_up link "$work/link"

raise_lab
cp "$work/keploy_test.exe" "$stage/"

windows_checks 180 keploy_test.exe

# With debug on, the log has a line where a connection begins; without, only where it ends.
if [ "$(grep -c 'redirected$' "$stage/windows_redirector.log")" = 5 ]; then
    ok "debug: the log has each connection's beginning, and only in the run with debug on"
else
    fail "debug: $(grep -c 'redirected$' "$stage/windows_redirector.log") lines in the log, not 5" \
        "$stage/windows_redirector.log"
fi
starts=$(x86_64-w64-mingw32-nm --defined-only "$archive" 2>/dev/null | grep -c ' T start_redirector$')
if [ "$starts" = 1 ]; then
    ok "one start_redirector in the archive"
else
    fail "$starts definitions of start_redirector in the archive"
fi
size=$(stat -c %s "$archive")
if [ "$size" -lt 350000 ]; then
    ok "the archive is under 350 KB"
else
    fail "the archive has $size bytes"
fi
if LC_ALL=C x86_64-w64-mingw32-nm "$archive" 2>/dev/null | grep -qE ' U __imp_(WinDivert|GetExtendedTcpTable)'; then
    fail "the archive asks the linker for WinDivert or iphlpapi"
else
    ok "the archive asks the linker for neither WinDivert nor iphlpapi"
fi
closing_count
