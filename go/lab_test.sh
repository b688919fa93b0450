#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The Go package against a driver: builds the tests with the tag "lab", once with the library compiled in by cgo and once
# with the DLL and no C compiler, and runs them as Windows programs in a lab of its own (lab/lab). Prints a line per test
# and ends "N passed, N failed". Needs build/mingw-release; BUILD names another folder with the DLL.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath "${BUILD:-$root/build/mingw-release}")
# shellcheck source=../lab/lib/suite.sh
. "$root/lab/lib/suite.sh" go

# link NAME GO-ENVIRONMENT...: NAME.exe, the tests
link() {
    local name=$1
    shift
    (cd "$root/go" && env GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 "$@" \
        CC=x86_64-w64-mingw32-gcc CGO_CFLAGS="$(./cflags.sh)" \
        go test -tags lab -c -o "$work/$name.exe" ./redirector) >"$work/link" 2>&1 || give_up "$name: link" "$work/link"
}

# link_dns NAME CGO_ENABLED: the DNS example
link_dns() {
    (cd "$root/go/examples/dns" && env GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 CGO_ENABLED="$2" \
        CC=x86_64-w64-mingw32-gcc CGO_CFLAGS="$(../../cflags.sh)" go build -o "$work/$1-dns.exe" .) >"$work/link" 2>&1 ||
        give_up "$1: link of the DNS example" "$work/link"
}

passed=0
failed=0

# windows_test PATTERN: those tests of the program on stage, as a Windows program. To a file, not a pipe: Wine's
# background services inherit the output and would keep a pipe open.
windows_test() {
    timeout 180 "$root/lab/lab" wine go_lab_test.exe -test.run "$1" -test.v >"$work/out" 2>&1 </dev/null
}

# faults: the test of a driver that fails. It says when.
faults() {
    local tries
    "$root/lab/lab" ctl fault open 5 1
    windows_test '^TestFault' &
    for ((tries = 600; tries > 0; tries--)); do
        grep -q '^the driver may fail now' "$work/out" && break
        kill -0 $! 2>/dev/null || break # it has ended
        sleep 0.1
    done
    "$root/lab/lab" ctl fault recv 1450 all
    wait $!
    set -- $?
    "$root/lab/lab" ctl fault clear
    return "$1"
}

# run NAME COMMAND...: tests of that program, by the command.
run() {
    local name=$1 status good bad
    shift
    cp "$work/$name.exe" "$stage/go_lab_test.exe"
    cp "$work/$name.exe" "$stage/curl.exe" # the programs of examples
    cp "$work/$name.exe" "$stage/client.exe"
    "$@" >"$work/commands" 2>&1
    status=$?
    good=$(grep -c '^--- PASS: ' "$work/out")
    bad=$(grep -c '^--- FAIL: ' "$work/out")
    if [ "$bad" = 0 ] && { [ "$status" != 0 ] || ! grep -qx 'PASS' "$work/out"; }; then
        # It took too long, or died: under Wine a crash may well end with status 0.
        echo "FAIL $name broke off, with status $status"
        bad=1
    elif [ "$good" = 0 ] && [ "$bad" = 0 ]; then
        echo "FAIL $name ran no test"
        bad=1
    fi
    [ "$bad" = 0 ] || sed 's/^/    /' "$work/out" | tail -80
    sed -n -E "s|^--- PASS: ([^ ]+).*|ok $name/\1|p; s|^--- FAIL: ([^ ]+).*|FAIL $name/\1|p" "$work/out"
    passed=$((passed + good))
    failed=$((failed + bad))
}

# dns_example NAME: what it prints of a resolver's queries, in both families.
dns_example() {
    local name=$1 server bad=0
    cp "$work/$name-dns.exe" "$stage/dns.exe"
    for server in '10.77.0.2:53' '[fd77::2]:53'; do
        REDIRECTOR_TEST_CHILD=1 timeout 60 "$root/lab/lab" wine dns.exe './go_lab_test.exe' resolve "$server" yes.test \
            >"$work/said" 2>&1 </dev/null || bad=1
        tr -d '\r' <"$work/said" >"$work/out"
        grep -qxF '[192.0.2.53 2001:db8::53]' "$work/out" && grep -q '^process [1-9][0-9]* -> ' "$work/out" &&
            grep -qF -- "-> $server: A yes.test." "$work/out" &&
            grep -qF -- "<- $server: A yes.test. = 192.0.2.53" "$work/out" &&
            grep -qF -- "<- $server: AAAA yes.test. = 2001:db8::53" "$work/out" || bad=1
        [ "$bad" = 0 ] || break
    done
    if [ "$bad" = 0 ]; then
        echo "ok $name/the DNS example tells of queries and answers"
    else
        echo "FAIL $name/the DNS example tells of queries and answers"
        sed 's/^/    /' "$work/out" | tail -20
    fi
    passed=$((passed + 1 - bad))
    failed=$((failed + bad))
}

need_lab

export PATH="/usr/lib/go-1.19/bin:$PATH" # programs of Go 1.22 and later do not run under Wine 8
link cgo CGO_ENABLED=1
link dll CGO_ENABLED=0
link_dns cgo 1
link_dns dll 0
raise_lab
"$root/lab/lab" run server -- python3 "$root/go/lab_dns.py" 10.77.0.2 fd77::2 >"$work/dns" 2>&1 &
disown # it ends with the lab, of which the shell is not to tell behind the last line
for ((tries = 100; tries > 0; tries--)); do
    grep -q '^ready' "$work/dns" && break
    sleep 0.1
done
grep -q '^ready' "$work/dns" || give_up "no DNS server" "$work/dns"
# Somewhere to go for the example that mocks a server: nobody answers there.
"$root/lab/lab" run client -- ip route add 192.0.2.0/24 via 10.77.0.2 || give_up "no route to 192.0.2.0/24"
run cgo windows_test '^TestLab'
run cgo faults
dns_example cgo
cp "$build/windows_redirector.dll" "$stage/" # only now: the program with the library inside must do without
run dll windows_test '^TestLab'
run dll faults
dns_example dll

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
