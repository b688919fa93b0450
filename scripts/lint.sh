#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# scripts/lint.sh         checks layout, static analysis, shell scripts, Go and Rust; exit 1 if anything is found
# scripts/lint.sh --fix   lays out the C, Go and Rust files instead
set -u
cd "$(dirname "$0")/.." || exit 1
readonly go=/usr/lib/go-1.19/bin
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local
failed=0

# files PATTERN...: the project's own files with such names.
files() {
    local patterns=()
    for pattern in "$@"; do patterns+=(-o -name "$pattern"); done
    find . \( -path ./build -o -path ./.git \) -prune -o -type f \( "${patterns[@]:1}" \) -print
}

shell_scripts() {
    find . \( -path ./build -o -path ./.git \) -prune -o -type f -print0 |
        xargs -0 awk 'FNR == 1 && /^#!.*(bash|\/sh)/ { print FILENAME } { nextfile }'
}

# step NAME COMMAND...
step() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'ok    %s\n' "$name"
    else
        printf 'FAIL  %s\n%s\n' "$name" "$output" | head -n 80
        failed=1
    fi
}

check_tidy() {
    scripts/build.sh native-asan native-fuzz || return 1
    clang-tidy --quiet -p build/native-asan src/engine/*.c && clang-tidy --quiet -p build/native-fuzz fuzz/*.c &&
        clang-tidy --quiet src/*.c src/windows/*.c cli/*.c -- --target=x86_64-w64-windows-gnu -std=c11 -Isrc -Iinclude \
            -DUNICODE -D_UNICODE -D_WIN32_WINNT=0x0A00
}

# The lab's C follows the house's dialect: a brace around every statement. Its Windows side is compiled for Windows.
check_lab_braces() {
    local only='-*,readability-braces-around-statements' windows=(--target=x86_64-w64-windows-gnu -std=gnu11)
    scripts/build.sh lab || return 1
    clang-tidy --quiet -checks="$only" lab/windows/*/*.c -- "${windows[@]}" -ffreestanding -Ilab/daemon -Ilab/windows &&
        clang-tidy --quiet -checks="$only" lab/conformance/*.c lab/iphlpapi/*.c lab/fwpuclnt/*.c -- "${windows[@]}" -Ilab/conformance \
            -Ilab/daemon &&
        find lab/daemon -name '*.c' ! -name '*.bpf.c' -print0 |
        xargs -0 sh -c 'clang-tidy --quiet -checks="$0" "$@" -- -std=gnu11 -Ilab/daemon -Ilab/windows -Ibuild/lab' "$only"
}

# Comments are /* */ everywhere; cppcheck's suppressions have a form of their own.
check_comments() {
    ! files '*.c' '*.h' | xargs grep -nE '(^|[^:"/])//' | grep -vE 'cppcheck-suppress|"[^"]*//'
}

# A finding that is none is silenced where it is, with its reason: // cppcheck-suppress id
check_cppcheck() {
    cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability --std=c11 \
        --platform=win64 -D_WIN32 --suppress=missingIncludeSystem -Isrc -Iinclude src
}

# GCC follows the paths through each file: the engine as it is built here, all of it as it is built for Windows. What is
# not initialised cppcheck and clang-tidy find; GCC 12 takes members of a struct that was copied as a whole for such.
check_analyzer() {
    local file flags="-std=c11 -O1 -fanalyzer -Wno-analyzer-use-of-uninitialized-value -Werror -Isrc -Iinclude -S -o /dev/null"
    for file in src/engine/*.c; do
        # shellcheck disable=SC2086
        gcc $flags "$file" || return 1
    done
    for file in src/*.c src/windows/*.c; do
        # shellcheck disable=SC2086
        x86_64-w64-mingw32-gcc $flags -DUNICODE -D_UNICODE -D_WIN32_WINNT=0x0A00 "$file" || return 1
    done
}

check_gofmt() {
    local ugly
    ugly=$(files '*.go' | xargs -r "$go/gofmt" -l)
    [ -z "$ugly" ] || { echo "$ugly"; return 1; }
}

# vet_go FOLDER: as it is built on Linux, if it is, and as it is built for Windows.
vet_go() {
    (cd "$1" && { [ -z "$("$go/go" list ./...)" ] || "$go/go" vet ./...; } &&
        GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc "$go/go" vet ./...)
}

# Nothing is linked, so that any folder will do for the library's.
check_clippy() {
    WINDOWS_REDIRECTOR_LIB_DIR=$PWD/include rust/cargo.sh clippy --workspace --all-targets --locked -- -D warnings
}

if [ "${1:-}" = --fix ]; then
    files '*.c' '*.h' | xargs clang-format -i
    files '*.go' | xargs -r "$go/gofmt" -w
    rust/cargo.sh fmt --all
    exit
fi

mapfile -t c_files < <(files '*.c' '*.h')
mapfile -t scripts < <(shell_scripts)
step "layout of ${#c_files[@]} C files" clang-format --dry-run -Werror "${c_files[@]}"
step "clang-tidy on the library, the program and the fuzz targets" check_tidy
step "braces in the lab" check_lab_braces
step "comments" check_comments
step "cppcheck on the library" check_cppcheck
step "gcc -fanalyzer on the library" check_analyzer
step "the order of the engine's files" scripts/check_engine_order.py
step "the tests that SECURITY.md names" scripts/check_security_tests.py
step "rule codes, and the tests of each rule" scripts/check_rules.py
step "links, limits and status codes in documents" scripts/check_docs.py
step "shellcheck of ${#scripts[@]} scripts" shellcheck -x -S warning -P SCRIPTDIR -P lab/lib "${scripts[@]}"
step "GitHub workflows" packaging/lint_workflows.sh
step "gofmt" check_gofmt
step "rustfmt" rust/cargo.sh fmt --all --check
step "clippy" check_clippy
while IFS= read -r module; do
    step "go vet in $(dirname "$module")" vet_go "$(dirname "$module")"
done < <(files go.mod)
exit $failed
