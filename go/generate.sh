#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# go/generate.sh           writes what the Go module has from the public header and from the library's sources:
#                          redirector/ztypes_windows_amd64.go: the C structures as Go sees them
#                          redirector/zstatus.go: the statuses
#                          internal/library/z*: the C files by which Go compiles the library
# go/generate.sh --check   shows what would change, and fails if anything would
#
# So nothing is copied by hand, and a program that loads the DLL without a C compiler has the layouts that the C
# compiler uses. Run it after each change of structures, flags or statuses in the public header, of the list of sources,
# or of the names that sources have in common. Needs build/mingw-release; BUILD names another folder with the archive.
set -euo pipefail
cd "$(dirname "$0")/redirector"
export PATH="/usr/lib/go-1.19/bin:$PATH" GOTOOLCHAIN=local GOOS=windows GOARCH=amd64 CC=x86_64-w64-mingw32-gcc
archive=${BUILD:-../../build/mingw-release}/libwindows_redirector.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/obj" "$work/made"
{
    echo "// SPDX-License-Identifier: LGPL-3.0-or-later"
    echo
    go tool cgo -objdir "$work/obj" -godefs -- -I../../include types_windows.go |
        sed 's|^// cgo .*-godefs .*|// Made from types_windows.go and windows_redirector.h by generate.sh.|'
} | gofmt >"$work/made/ztypes_windows_amd64.go"
../../scripts/generate_status.py | gofmt >"$work/made/zstatus.go"
if [ "${1-}" = --check ]; then
    for made in "$work"/made/*; do
        diff "${made##*/}" "$made"
    done
    ../../scripts/generate_go_sources.py --check "$archive" ../internal/library
else
    cp "$work"/made/* .
    ../../scripts/generate_go_sources.py "$archive" ../internal/library
fi
