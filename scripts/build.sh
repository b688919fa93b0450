#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# scripts/build.sh PRESET|lab...   builds CMake presets and the lab, quietly while all is well.
#
#   WERROR=1   compiler warnings are errors
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build

# build_preset NAME
build_preset() {
    local werror=OFF
    [ -n "${WERROR:-}" ] && [ "$WERROR" != 0 ] && werror=ON
    # A tree that was moved or copied together with its build folder: CMake refuses the old cache.
    local cache=build/$1/CMakeCache.txt
    if [ -f "$cache" ] && ! grep -qx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache"; then
        rm -rf "build/$1"
    fi
    cmake --preset "$1" -DWERROR=$werror && cmake --build --preset "$1"
}

for what in "$@"; do
    log=build/build-$what.log
    started=$SECONDS
    printf 'build    %-14s ' "$what"
    if [ "$what" = lab ]; then
        lab/build.sh >"$log" 2>&1
    else
        build_preset "$what" >"$log" 2>&1
    fi
    result=$?
    if [ $result -ne 0 ]; then
        printf 'FAILED (log: %s)\n' "$log"
        tail -n 40 "$log" | cut -c 1-300
        exit $result
    fi
    warnings=$(grep -c 'warning:' "$log")
    printf 'ok  %d s%s\n' $((SECONDS - started)) "$([ "$warnings" -ne 0 ] && echo ", $warnings warnings in $log")"
done
