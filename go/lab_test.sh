#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The Go package against a driver: builds the tests with the tag "lab" and runs them as a Windows program in a lab of
# its own (lab/lab). Prints a line per test and ends "N passed, N failed". Needs
# build/mingw-release/libwindows_redirector.a.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
case ${LAB:-} in
"" | on | off) LAB=go$$ ;; # on and off are words of make check, not the name of a lab
esac
export LAB
work=$(mktemp -d)
trap '"$root/lab/lab" down >/dev/null 2>&1 </dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

give_up() {
    echo "FAIL $1"
    [ -z "${2-}" ] || sed 's/^/    /' "$2" | tail -40
    echo "0 passed, 1 failed"
    exit 1
}

"$root/lab/lab" check >"$work/check" 2>&1 || give_up "$(cat "$work/check")"
[ ! -e "$("$root/lab/lab" path)" ] || { trap 'rm -rf "$work"' EXIT; give_up "the lab $LAB is in use"; }

export PATH="/usr/lib/go-1.19/bin:$PATH" # programs of Go 1.22 and later do not run under Wine 8
(cd "$root/go" && env GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 CGO_ENABLED=1 \
    CC=x86_64-w64-mingw32-gcc \
    CGO_CFLAGS="-O2 -DHEADER_$(sha256sum "$root/include/windows_redirector.h" | cut -c1-16)" \
    go test -tags lab -c -o "$work/go_lab_test.exe" ./redirector) >"$work/link" 2>&1 || give_up link "$work/link"
"$root/lab/lab" up >"$work/up" 2>&1 </dev/null || give_up "the lab does not come up" "$work/up"
cp "$work/go_lab_test.exe" "$("$root/lab/lab" path)/win/"

# To a file, not a pipe: Wine's background services inherit the output and would keep a pipe open.
timeout 180 "$root/lab/lab" wine go_lab_test.exe -test.run '^TestLab' -test.v >"$work/out" 2>&1 </dev/null
status=$?

passed=$(grep -c '^--- PASS: ' "$work/out")
failed=$(grep -c '^--- FAIL: ' "$work/out")
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then # it died, or took too long
    echo "FAIL ended with status $status"
    failed=1
elif [ "$passed" = 0 ] && [ "$failed" = 0 ]; then
    echo "FAIL no test was run"
    failed=1
fi
[ "$failed" = 0 ] || sed 's/^/    /' "$work/out" | tail -80
sed -n -E 's/^--- PASS: ([^ ]+).*/ok \1/p; s/^--- FAIL: ([^ ]+).*/FAIL \1/p' "$work/out"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
