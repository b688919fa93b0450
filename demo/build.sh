#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the demo's Windows programs into build/demo/: agent.exe (the Go proxy, linked with the library), fetch.exe
# (Go) and winsock_fetch.exe (C). Needs the library: build/mingw-release/libwindows_redirector.a. Needs no network.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/demo
archive=$root/build/mingw-release/libwindows_redirector.a
if [ ! -f "$archive" ]; then
    echo "demo/build.sh: build/mingw-release/libwindows_redirector.a is missing; build the CMake preset mingw-release" >&2
    exit 1
fi
mkdir -p "$out"

export PATH="/usr/lib/go-1.19/bin:$PATH" # programs of Go 1.22 and later do not run under Wine 8
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local
export GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc

# Go's build cache watches neither the header nor the archive: the first is made part of the flags, the second is linked
# anew because the program is removed.
rm -f "$out/agent.exe"
CGO_CFLAGS="-O2 -DHEADER_$(sha256sum "$root/include/windows_redirector.h" | cut -c1-16)"
export CGO_CFLAGS
(cd "$root/go" && go build -o "$out/agent.exe" ./examples/agent)
(cd "$root/demo/fetch" && go build -o "$out/fetch.exe" .)
"$CC" -std=c11 -O2 -Wall -Wextra -Werror -D_WIN32_WINNT=0x0A00 -o "$out/winsock_fetch.exe" "$root/demo/winsock_fetch.c" \
    -static -lws2_32 -lbcrypt
