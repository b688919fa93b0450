#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# packaging/tools.sh [actionlint|newest_go|windows_python|python]...   installs what checks packages and workflows into
#                                                       build/tools; all of it, if none is named
#
# Versions and hashes are pinned: actionlint.mod, newest_go.mod, windows_python.mod and their .sum (Go modules), tools.txt (Python wheels). What
# is there already, in the pinned version, is left alone, and nothing is downloaded then.
set -u
cd "$(dirname "$0")/.." || exit 1
readonly tools=$PWD/build/tools
readonly go=/usr/lib/go-1.19/bin/go

# up_to_date NAME FILE...: NAME was made from exactly these files.
up_to_date() {
    local name=$1
    shift
    [ -e "$tools/$name" ] && [ "$(cat "$@" | sha256sum)" = "$(cat "$tools/$name.made-from" 2>/dev/null)" ]
}

install_actionlint() {
    local source=$tools/actionlint-module
    rm -rf "$source" && mkdir -p "$source" &&
        cp packaging/actionlint.mod "$source/go.mod" &&
        cp packaging/actionlint.sum "$source/go.sum" &&
        (cd "$source" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
            "$go" build -trimpath -o "$tools/actionlint" github.com/rhysd/actionlint/cmd/actionlint) &&
        cat packaging/actionlint.mod packaging/actionlint.sum | sha256sum >"$tools/actionlint.made-from"
}

# A module is files alone: which of them are programs is known by their places. With a go.mod it is no part of this
# project's own module, below whose root it lies.
install_newest_go() {
    local source=$tools/newest_go-module module
    rm -rf "$source" "$tools/newest_go" && mkdir -p "$source" &&
        cp packaging/newest_go.mod "$source/go.mod" &&
        cp packaging/newest_go.sum "$source/go.sum" &&
        module=$(cd "$source" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$go" mod download -json golang.org/toolchain |
            sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') && [ -n "$module" ] &&
        cp -r --no-preserve=mode "$module" "$tools/newest_go" &&
        echo "module newest_go" >"$tools/newest_go/go.mod" &&
        chmod -R +x "$tools/newest_go/bin" "$tools/newest_go/pkg/tool" &&
        cat packaging/newest_go.mod packaging/newest_go.sum | sha256sum >"$tools/newest_go.made-from"
}

# Its files are packed one by one.
install_windows_python() {
    local source=$tools/windows_python-module module
    rm -rf "$source" "$tools/windows_python" && mkdir -p "$source" &&
        cp packaging/windows_python.mod "$source/go.mod" &&
        cp packaging/windows_python.sum "$source/go.sum" &&
        module=$(cd "$source" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$go" mod download -json \
            github.com/kluctl/go-embed-python | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') && [ -n "$module" ] &&
        cp -r --no-preserve=mode "$module/python/internal/data/windows-amd64" "$tools/windows_python" &&
        find "$tools/windows_python" -name '*.gz' -exec gunzip {} + &&
        cat packaging/windows_python.mod packaging/windows_python.sum | sha256sum >"$tools/windows_python.made-from"
}

# Pure Python: one folder of packages serves every Python 3.9 and later.
install_python() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -m pip --version >/dev/null 2>&1 && break
    done
    rm -rf "$tools/python"
    "$python" -m pip --disable-pip-version-check install --quiet --no-deps --no-compile --no-cache-dir \
        --only-binary :all: --platform any --implementation py --require-hashes --root-user-action ignore \
        -r packaging/tools.txt --target "$tools/python" &&
        sha256sum <packaging/tools.txt >"$tools/python.made-from"
}

failed=0
# tool NAME FILE...
tool() {
    local name=$1
    if up_to_date "$@"; then
        printf '  have     %s in build/tools\n' "$name"
        return
    fi
    printf '  install  %s into build/tools\n' "$name"
    if ! "install_$name" >"$tools/$name.log" 2>&1; then
        printf '  MISSING  %s: its installation failed (log: build/tools/%s.log)\n' "$name" "$name"
        tail -n 3 "$tools/$name.log" | sed 's/^/             /'
        failed=1
    fi
}

mkdir -p "$tools"
[ $# -gt 0 ] || set -- actionlint newest_go windows_python python
for name in "$@"; do
    case $name in
    actionlint) tool actionlint packaging/actionlint.mod packaging/actionlint.sum ;;
    newest_go) tool newest_go packaging/newest_go.mod packaging/newest_go.sum ;;
    windows_python) tool windows_python packaging/windows_python.mod packaging/windows_python.sum ;;
    python) tool python packaging/tools.txt ;;
    *)
        echo "packaging/tools.sh: there is no tool $name" >&2
        exit 2
        ;;
    esac
done
exit $failed
