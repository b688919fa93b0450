#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Checks the Go package: format, vet, that generated code is up to date, the builds without the library, the tests on
# this system (where redirecting is unsupported) under the race detector, the program in docs/go.md, and the tests as
# Windows programs under Wine, with the library compiled in and as a DLL. Also the demo's parts that need no lab.
# Prints a line per check and ends "N passed, N failed". Needs build/mingw-release; BUILD names another folder with the
# archive (for its names) and the DLL.
#
# The DNS example needs golang.org/x/net, which is fetched once, before all else.
#
# Everything runs in a network namespace with loopback alone and a PID namespace of its own, so that nothing leaves
# the machine and no Wine service outlives the run. WINEPREFIX, if set, must have no wineserver running; otherwise a
# prefix is made and removed. Windows programs are built by Go 1.19: those of Go 1.22 and later do not run under Wine
# 8.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
go_root=/usr/lib/go-1.19
build=$(realpath "${BUILD:-$root/build/mingw-release}")

if [ "${1-}" != --inside ]; then
    as_user=()
    [ "$(id -u)" = 0 ] || as_user=(--map-root-user)
    (cd "$root/go/examples/dns" && GOTOOLCHAIN=local "$go_root/bin/go" mod download golang.org/x/net)
    exec unshare "${as_user[@]}" --net --pid --fork --kill-child --mount-proc "$0" --inside
fi
ip link set lo up

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=1
export PATH="$go_root/bin:$PATH"
cd "$root/go" || exit 1

passed=0
failed=0

ok() {
    passed=$((passed + 1))
    echo "ok $1"
}

fail() {
    failed=$((failed + 1))
    echo "FAIL $1"
    [ -z "${2-}" ] || sed 's/^/    /' "$2" | tail -40
}

# check NAME COMMAND...: passes if the command succeeds and prints nothing.
check() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1 && [ ! -s "$work/out" ]; then
        ok "$name"
    else
        fail "$name" "$work/out"
    fi
}

# count_tests NAME STATUS FILE: one check for each Go test in the output; a run that died, or ran no test, is a
# failure too.
count_tests() {
    local name=$1 status=$2 file=$3 result test bad=0 good=0
    while read -r result test; do
        case $result in
        PASS:)
            ok "$name/$test"
            good=$((good + 1))
            ;;
        *)
            sed -n "/^=== RUN   $test\$/,/^--- [A-Z]*: $test /p" "$file" >"$work/part"
            fail "$name/$test" "$work/part"
            bad=$((bad + 1))
            ;;
        esac
    done < <(sed -n -E 's/^--- (PASS:|FAIL:|SKIP:) ([^ ]+).*/\1 \2/p' "$file")
    # A run that broke off: under Wine a crash may well end with status 0.
    if [ "$good" = 0 ] || { [ "$bad" = 0 ] && { [ "$status" != 0 ] || ! grep -qx PASS "$file"; }; }; then
        fail "$name broke off, with status $status" "$file"
    fi
}

# windows COMMAND...: go for Windows
windows() {
    env GOOS=windows GOARCH=amd64 CC=x86_64-w64-mingw32-gcc "$@"
}
CGO_CFLAGS=$("$root/go/cflags.sh")
export CGO_CFLAGS BUILD=$build

check "gofmt" gofmt -l . "$root/demo"
check "vet on this system" go vet ./...
check "vet for Windows, compiled in" windows go vet -tags lab ./...
check "vet for Windows, DLL" windows go vet -tags lab,windows_redirector_dll ./...
check "vet for Windows, DLL, without cgo" windows env CGO_ENABLED=0 go vet -tags lab ./...
check "vet of the demo's program" sh -c "cd '$root/demo/fetch' && go vet . && GOOS=windows CGO_ENABLED=0 go vet ."
# In its own module, whose go.mod and go.sum have all that it needs.
dns_example() (
    cd examples/dns && env GOFLAGS=-mod=readonly "$@"
)
check "vet of the DNS example" dns_example sh -c 'go vet . && GOOS=windows CGO_ENABLED=0 go vet .'
check "generated code is that of the header and of the sources" ./generate.sh --check
for system in linux/amd64 linux/arm64 darwin/arm64 windows/arm64 windows/386; do
    check "build for $system" env GOOS=${system%/*} GOARCH=${system#*/} CGO_ENABLED=0 go build -o "$work/built/" ./...
done

if python3 "$root/demo/verdict_test.py" >"$work/verdict" 2>&1 &&
    tail -1 "$work/verdict" | grep -q '^[1-9][0-9]* passed, 0 failed$'; then
    ok "demo's verdict notices what is wrong ($(tail -1 "$work/verdict"))"
else
    fail "demo's verdict notices what is wrong" "$work/verdict"
fi

go test -race -count=1 -v ./... >"$work/native" 2>&1
count_tests "this system" $? "$work/native"

dns_example go test -race -count=1 -v . >"$work/dns" 2>&1
count_tests "DNS example" $? "$work/dns"

# The same system without IPv6.
unshare --net sh -c 'ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 &&
    go test -count=1 -v -tags no_ipv6 -run TestListenWithoutIPv6 ./redirector' >"$work/no-ipv6" 2>&1
count_tests "without IPv6" $? "$work/no-ipv6"

# guide COMMAND...: the program in the guide, in a module of its own, made as the guide says.
guide() (
    mkdir -p "$work/guide" && cd "$work/guide" &&
        printf 'module recorder\n\ngo 1.19\n' >go.mod &&
        go mod edit -require=github.com/windows-redirector/windows-redirector@v0.0.0 \
            -replace=github.com/windows-redirector/windows-redirector="$root" &&
        awk '/^```go$/ { text = ""; on = 1; next } /^```$/ { on = 0 } on { text = text $0 "\n" }
            END { printf "%s", text }' "$root/docs/go.md" >main.go &&
        "$@"
)

if [ ! -f "$build/libwindows_redirector.a" ] || [ ! -f "$build/windows_redirector.dll" ]; then
    fail "Windows: the archive and the DLL are missing; build the CMake preset mingw-release"
elif ! windows go test -c -o "$work/cgo.exe" ./redirector >"$work/link" 2>&1 ||
    ! windows env CGO_ENABLED=0 go test -c -o "$work/dll.exe" ./redirector >>"$work/link" 2>&1 ||
    ! windows env CGO_ENABLED=0 go build -o "$work/agent-dll.exe" ./examples/agent >>"$work/link" 2>&1 ||
    ! windows go build -o "$work/agent.exe" ./examples/agent >>"$work/link" 2>&1 ||
    ! dns_example env GOOS=windows CGO_ENABLED=0 go test -c -o "$work/dns.exe" . >>"$work/link" 2>&1; then
    fail "Windows: link" "$work/link"
else
    ok "Windows: link"
    check "Windows, compiled in: the guide's program builds" guide windows go build -o "$work/recorder.exe" .
    check "Windows, DLL: the guide's program builds" \
        guide windows env CGO_ENABLED=0 go build -o "$work/recorder-dll.exe" .
    unset DISPLAY
    wine=$root/scripts/wine64
    export WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
    if [ -z "${WINEPREFIX-}" ]; then
        export WINEPREFIX=$work/prefix
        "$wine" wineboot -i >"$work/wineboot" 2>&1 </dev/null
    fi
    # To files, not pipes: Wine's background services inherit the output and would keep a pipe open.
    (cd redirector && timeout 300 "$wine" "$work/cgo.exe" -test.v) >"$work/wine" 2>&1 </dev/null
    count_tests "Windows, compiled in" $? "$work/wine"

    timeout 300 "$wine" "$work/dns.exe" -test.v >"$work/wine" 2>&1 </dev/null
    count_tests "Windows, DNS example" $? "$work/wine"

    # cannot_start NAME TEXT: the agent with the DLL, which must say that, and never run its program. A DLL in the
    # current folder is of no use.
    cannot_start() {
        (cd "$build" && timeout 60 "$wine" "$work/agent-dll.exe" -- "$work/agent.exe" -help) \
            >"$work/said" 2>&1 </dev/null
        if [ $? = 3 ] && grep -q "windows_redirector.dll $2\$" "$work/said" && ! grep -q usage "$work/said"; then
            ok "Windows: $1"
        else
            fail "Windows: $1" "$work/said"
        fi
    }
    cannot_start "no windows_redirector.dll" 'cannot be loaded (.*); put it beside the program'
    x86_64-w64-mingw32-gcc -shared -x c /dev/null -o "$work/windows_redirector.dll"
    cannot_start "another windows_redirector.dll" 'has no redirector_.*; use that of version [0-9.]*'

    cp "$build/windows_redirector.dll" "$work/"
    (cd redirector && timeout 300 "$wine" "$work/dll.exe" -test.v) >"$work/wine" 2>&1 </dev/null
    count_tests "Windows, DLL" $? "$work/wine"

    timeout 60 "$wine" "$work/agent.exe" >"$work/usage" 2>&1 </dev/null
    if [ $? = 2 ] && grep -q '^usage: ' "$work/usage"; then
        ok "Windows: agent without arguments"
    else
        fail "Windows: agent without arguments" "$work/usage"
    fi
    timeout 60 "$wine" "$work/agent.exe" -- "$work/agent.exe" -help >"$work/nodll" 2>&1 </dev/null
    if [ $? = 3 ] && grep -q 'WinDivert.dll was not found' "$work/nodll" && ! grep -q usage "$work/nodll"; then
        ok "Windows: agent without WinDivert.dll says so and its program never ran"
    else
        fail "Windows: agent without WinDivert.dll says so and its program never ran" "$work/nodll"
    fi
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
