#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the demo's Windows programs into build/demo/: agent.exe (the Go proxy, the library inside), fetch.exe (Go) and
# winsock_fetch.exe (C). Needs no network.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/demo
mkdir -p "$out"

export PATH="/usr/lib/go-1.19/bin:$PATH" # programs of Go 1.22 and later do not run under Wine 8
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local
export GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc

(cd "$root/go" && CGO_CFLAGS=$(./cflags.sh) go build -o "$out/agent.exe" ./examples/agent)
(cd "$root/demo/fetch" && go build -o "$out/fetch.exe" .)
"$CC" -std=c11 -O2 -Wall -Wextra -Werror -D_WIN32_WINNT=0x0A00 -o "$out/winsock_fetch.exe" "$root/demo/winsock_fetch.c" \
    -static -lws2_32 -lbcrypt
