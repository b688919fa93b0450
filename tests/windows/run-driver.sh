#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds test_driver.c and runs it in a lab of its own: the WinDivert layer, the genuine DLL and driver.
# The lab must have been built (lab/build.sh).
set -eu -o pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
out=${OUT:-$root/build/windows-tests}
# shellcheck source=../../lab/lib/suite.sh
. "$root/lab/lib/suite.sh" wrdriver
need_lab

mkdir -p "$out"
${CC_WINDOWS:-x86_64-w64-mingw32-gcc} -std=c11 -O1 -g -Wall -Wextra -Werror -DUNICODE -D_UNICODE \
    -D_WIN32_WINNT=0x0A00 -I"$root/src" -I"$root/include" -I"$root/tests/windows" \
    "$root/tests/windows/test_driver.c" "$root"/src/{error,log,log_file,engine/{port_set,own_addresses,table_talk}}.c "$root"/src/windows/*.c \
    -o "$out/test_driver.exe" -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32

raise_lab
cp "$out/test_driver.exe" "$stage/"
status=0
# To a file: Wine's background services would keep a pipe open.
timeout 120 "$root/lab/lab" wine test_driver.exe >"$out/test_driver.log" 2>&1 || status=$?
tr -d '\r' <"$out/test_driver.log"
grep -Eq '^[0-9]+ passed, 0 failed' "$out/test_driver.log" || status=1 # Wine gives a crashed program the status 0
exit "$status"
