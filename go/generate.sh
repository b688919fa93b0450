#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# go/generate.sh           writes redirector/ztypes_windows_amd64.go: the C structures as Go sees them
# go/generate.sh --check   says what would change, and fails if anything would
#
# So no structure is retyped by hand, and the program that loads the DLL without a C compiler has the very layouts that
# the C compiler gave them. To be run after each change of structures or flags in the public header.
set -euo pipefail
cd "$(dirname "$0")/redirector"
export PATH="/usr/lib/go-1.19/bin:$PATH" GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 CC=x86_64-w64-mingw32-gcc
target=ztypes_windows_amd64.go
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/obj"
{
    echo "// SPDX-License-Identifier: LGPL-3.0-or-later"
    echo
    go tool cgo -objdir "$work/obj" -godefs -- -I../../include types_windows.go |
        sed 's|^// cgo .*-godefs .*|// Made from types_windows.go and windows_redirector.h by generate.sh.|'
} | gofmt >"$work/$target"
if [ "${1-}" = --check ]; then
    diff "$target" "$work/$target"
else
    cp "$work/$target" "$target"
fi
