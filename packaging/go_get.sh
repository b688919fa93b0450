#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# packaging/go_get.sh FOLDER     uses the Go module as a stranger would, by "go get" and nothing else
#
# Makes a repository of this tree with the version's tag, has the go command fill the folder of a module proxy from it,
# as a real proxy does, and in an empty folder does what a user does: go mod init, go get, the README's program, go build
# with and without cgo. Leaves in FOLDER the README's program (get_cgo.exe, get_dll.exe) and the example (agent.exe,
# agent_dll.exe), to be run. Go 1.19 builds what is run, the newest Go is tried, too; nothing comes from the network.
# Needs build/mingw-release.
# Prints a line per check and ends "N passed, N failed".
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
programs=$(realpath "$1")
module=github.com/windows-redirector/windows-redirector
archive=$root/build/mingw-release/libwindows_redirector.a # its names are the library's
newest=$root/build/tools/newest_go/bin/go
version=v$(sed -n 's/^#define REDIRECTOR_VERSION_STRING "\(.*\)"/\1/p' "$root/include/windows_redirector.h")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=../tests/lab/checks.sh
. "$root/tests/lab/checks.sh"
# shellcheck source=repository.sh
. "$root/packaging/repository.sh"

finish() {
    closing_count
    exit
}

export GOFLAGS=-modcacherw GOTOOLCHAIN=local GONOSUMDB=$module GOWORK=off PATH=/usr/lib/go-1.19/bin:$PATH
export CC=x86_64-w64-mingw32-gcc CGO_CFLAGS=-O2 # as Go has it, but for -g: to save time

fill_proxy() (
    cd "$work" && GOMODCACHE=$work/publisher GOPROXY=direct go mod download "$module@$version" &&
        [ -f "$work/publisher/cache/download/$module/@v/$version.zip" ]
)

small_module() {
    local size
    size=$(stat -c %s "$work/publisher/cache/download/$module/@v/$version.zip")
    echo "$size bytes"
    [ "$size" -lt 4000000 ]
}

# user COMMAND...: in the user's folder, who knows nothing but the proxy
user() (
    cd "$work/user" && GOOS=windows GOARCH=amd64 GOMODCACHE=$work/cache GOPROXY=file://$work/publisher/cache/download "$@"
)

# By the words of docs/install.md.
init_and_get() {
    mkdir "$work/user" && awk '/^#/ { here = $0 == "## Go" } /^```$/ { on = 0 } on; here && /^```sh$/ { on = 1 }' \
        "$root/docs/install.md" >"$work/words" && [ "$(wc -l <"$work/words")" = 2 ] &&
        user bash -eu "$work/words" && user grep -q "$module $version" go.mod
}

# A program with the README's Go block in it. And one C variable for each name that the library has for itself, so that it
# could not be linked if one of these names were left as it is.
write_program() {
    awk '/^```go$/ { on = 1; next } /^```$/ { on = 0 } on' "$root/README.md" >"$work/block" && [ -s "$work/block" ] &&
        sed -e "/^@README@\$/{r $work/block" -e 'd;}' "$root/tests/dist/go_get/main.go.in" >"$work/user/main.go" &&
        mkdir "$work/user/names" &&
        printf '//go:build cgo\n\npackage main\n\nimport _ "example.com/agent/names"\n' >"$work/user/names.go" &&
        printf '//go:build cgo\n\npackage names\n\nimport "C"\n' >"$work/user/names/names.go" &&
        x86_64-w64-mingw32-nm --extern-only --defined-only "$archive" 2>/dev/null |
        sed -n 's/^.* wredir_\(.*\)$/int \1 = 1;/p' >"$work/user/names/names.c" && [ "$(wc -l <"$work/user/names/names.c")" -gt 100 ]
}

# Not optimised, because it is not run.
vendored() {
    user "$newest" mod vendor && user env CGO_ENABLED=1 CGO_CFLAGS=-O0 "$newest" build -mod=vendor -o "$work/newest.exe" . &&
        rm -r "$work/user/vendor"
}

documented() {
    user go doc "$module/go/redirector" Start | grep -q '^func Start(ctx context.Context, config Config)'
}

check "go get: a repository with the tag $version" make_repository "$work" "$root" "$version" || finish
check "go get: a module proxy, filled from the tag" fill_proxy || finish
check "go get: the module's zip has less than 4 MB" small_module
check "go get: go mod init and go get in an empty folder" init_and_get || finish
check "go get: the README's Go block, in a program" write_program || finish
check "go get: it builds with a C compiler" user env CGO_ENABLED=1 go build -o "$programs/get_cgo.exe" .
check "go get: it builds without, for the DLL" user env CGO_ENABLED=0 CC=no-such-compiler go build -o "$programs/get_dll.exe" .
check "go get: go vet has nothing to say" user env CGO_ENABLED=1 go vet .
check "go get: go doc knows Start" documented
check "go get: the newest Go is there" "$root/packaging/tools.sh" newest_go
check "go get: it builds with the newest Go, without a C compiler" \
    user env CGO_ENABLED=0 CC=no-such-compiler "$newest" build -o "$work/newest.exe" .
check "go get: it builds with the newest Go, with a C compiler, from a vendor folder" vendored
check "go get: the example builds with a C compiler" \
    user env CGO_ENABLED=1 go build -o "$programs/agent.exe" "$module/go/examples/agent"
check "go get: the example builds without, for the DLL" \
    user env CGO_ENABLED=0 go build -o "$programs/agent_dll.exe" "$module/go/examples/agent"
finish
