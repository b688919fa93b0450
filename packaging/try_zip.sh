#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# packaging/try_zip.sh [ZIP]     uses the package as a stranger would (default: the one in build/dist)
#
# Unpacks it; builds with what is in it a program by CMake and one by pkg-config, each with DLL and with archive, one as
# Microsoft's tools do, and those of docs/install.md (tests/dist/install_page.py); gets the Go module (go_get.sh)
# and builds the README's program and the example, each with the library inside and for the package's DLL; and has
# redirector.exe and those redirect programs in a lab of its own, on a Wine prefix that has seen nothing of the project. One file is not the package's: WinDivert64.sys is the lab's.
# Prints a line per check and ends "N passed, N failed".
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
case ${LAB:-} in
"" | on | off) LAB=zip$$ ;; # on and off are words of make check, not the name of a lab
esac
export LAB
lab=$root/lab/lab
work=$(mktemp -d)
consumer=$root/tests/dist/consumer
server=
lab_is_up=

clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    [ -z "$lab_is_up" ] || "$lab" down >/dev/null 2>&1 </dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
# shellcheck source=../tests/lab/checks.sh
. "$root/tests/lab/checks.sh"

finish() {
    closing_count
    exit
}

unpack() {
    python3 -m zipfile -e "$zip" "$work/unpacked" || return 1
    package=$(echo "$work"/unpacked/*)
    [ -d "$package/bin" ] || { echo "not one folder with bin/ in it: $package"; return 1; }
    version=$(sed -n 's/^#define REDIRECTOR_VERSION_STRING "\(.*\)"/\1/p' "$package/include/windows_redirector.h")
}

sums_are_right() (
    cd "$package" && sha256sum --check --strict --quiet SHA256SUMS &&
        diff <(sed 's/^[0-9a-f]*  //' SHA256SUMS | LC_ALL=C sort) \
            <(find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort)
)

build_by_cmake() {
    cmake -S "$consumer" -B "$work/cmake" -G Ninja -DCMAKE_BUILD_TYPE=Release -DWANTED="$version" \
        -DCMAKE_TOOLCHAIN_FILE="$root/cmake/mingw-w64.cmake" -DCMAKE_PREFIX_PATH="$package" "-DKINDS=dll;static" &&
        cmake --build "$work/cmake" && cp "$work"/cmake/cmake_{dll,static}.exe "$programs"
}

clang_needs_no_runtime() {
    x86_64-w64-mingw32-objdump -p "$programs/clang/windows_redirector.dll" >"$work/imports" &&
        ! grep -qE 'DLL Name: (libssp|libgcc)' "$work/imports"
}

# The header by Microsoft's rules, with every warning there is, but that macros are unused and that C++98 is not enough.
header_for_microsoft() {
    local mode
    for mode in "c -std=c11" "c -std=c17" "c++ -std=c++14" "c++ -std=c++20"; do
        # shellcheck disable=SC2086
        clang --target=x86_64-pc-windows-msvc -ffreestanding -fms-compatibility -fsyntax-only -x $mode -pedantic-errors \
            -Weverything -Wno-unused-macros -Wno-c++98-compat-pedantic -Werror "$package/include/windows_redirector.h" || return 1
    done
}

build_for_microsoft() {
    clang --target=x86_64-pc-windows-msvc -ffreestanding -fms-compatibility -std=c11 -O2 -Wall -Wextra -pedantic -Werror \
        -I"$package/include" -DREDIRECTOR_USE_DLL -c "$consumer/microsoft.c" -o "$work/microsoft.obj" &&
        lld-link /nologo /entry:start /subsystem:console /nodefaultlib "/out:$programs/microsoft.exe" "$work/microsoft.obj" \
            "$package/lib/windows_redirector.lib" /usr/x86_64-w64-mingw32/lib/libkernel32.a
}

# build_by_pkg_config NAME [static]
build_by_pkg_config() {
    local -x PKG_CONFIG_LIBDIR=$package/lib/pkgconfig
    local flags
    pkg-config --exists --print-errors "windows_redirector = $version" || return 1
    read -ra flags < <(pkg-config ${2:+--static} --cflags --libs windows_redirector)
    x86_64-w64-mingw32-gcc ${2:+-static} -o "$programs/$1.exe" "$consumer/main.c" "${flags[@]}"
}

# loads_dll PROGRAM yes|no: whether it is linked with the DLL
loads_dll() {
    local found=no
    x86_64-w64-mingw32-objdump -p "$programs/$1.exe" >"$work/imports" || return 1
    grep -q 'DLL Name: windows_redirector.dll' "$work/imports" && found=yes
    [ $found = "$2" ] || { echo "$1: $found"; return 1; }
}

# checks_of NAME COMMAND...: its lines and counts are of the same kind; they are passed on.
checks_of() {
    local name=$1
    shift
    "$@" >"$work/checks" 2>&1 </dev/null
    grep -v '^[0-9]* passed, ' "$work/checks"
    passed=$((passed + $(grep -c '^ok ' "$work/checks")))
    if grep -q '^[1-9][0-9]* passed, ' "$work/checks"; then
        failed=$((failed + $(grep -c '^FAIL ' "$work/checks")))
    else
        check "$name comes to its end" false
    fi
}

build_client() {
    x86_64-w64-mingw32-gcc -std=c11 -O2 -D_WIN32_WINNT=0x0A00 -o "$programs/winsock_fetch.exe" \
        "$root/demo/winsock_fetch.c" -static -lws2_32 -lbcrypt
}

# The programs beside the package's own, in the lab.
stage_programs() {
    stage=$("$lab" path)/win/package
    cp -r "$package/bin" "$stage" && cp -r "$programs"/* "$stage" &&
        cp "$("$lab" path)/win/WinDivert64.sys" "$stage" && head -c 300000 /dev/urandom >"$work/page"
}

# prints_version PROGRAM [FOLDER]
prints_version() {
    LAB_CWD=$stage${2:+/$2} "$lab" wine "$1.exe" >"$work/version" 2>&1 </dev/null
    local status=$?
    [ $status = 0 ] && [ "$(tr -d '\r' <"$work/version")" = "$version" ] && return
    echo "status $status: $(cat "$work/version")"
    return 1
}

# answers_itself PROGRAM ADDRESS: what the redirected program was told of its connection
answers_itself() {
    LAB_CWD=$stage timeout 60 "$lab" wine "$1.exe" "$2" >"$work/answer" 2>&1 </dev/null
    local status=$?
    [ $status = 0 ] && tr -d '\r' <"$work/answer" | grep -q "^redirected: ${2//[/\\[}, process [0-9]" && return
    echo "status $status: $(cat "$work/answer")"
    return 1
}

start_server() {
    "$lab" run server -- python3 "$root/packaging/e2e.py" serve 80 "$work/page" >"$work/server" 2>&1 </dev/null &
    server=$!
    local patience=300
    until grep -q ready "$work/server"; do
        kill -0 "$server" && [ $((patience -= 1)) -gt 0 ] || { cat "$work/server"; return 1; }
        sleep 0.1
    done
}

zip=${1:-}
if [ -z "$zip" ]; then
    zip=$(echo "$root"/build/dist/windows-redirector-*-win64.zip)
fi
programs=$work/programs
mkdir "$programs"
check "the package is there, and unpacks" unpack || finish
check "SHA256SUMS is right, and complete" sums_are_right
check "CMake finds it: program with the DLL, program with the archive" build_by_cmake
check "pkg-config finds it: program with the DLL" build_by_pkg_config pkg_dll
check "pkg-config finds it: program with the archive" build_by_pkg_config pkg_static static
check "each has what it asked for: CMake, DLL" loads_dll cmake_dll yes
check "each has what it asked for: CMake, archive" loads_dll cmake_static no
check "each has what it asked for: pkg-config, DLL" loads_dll pkg_dll yes
check "each has what it asked for: pkg-config, archive" loads_dll pkg_static no
check "the header is C and C++ by Microsoft's rules" header_for_microsoft
check "windows_redirector.lib is what Microsoft's linker wants" build_for_microsoft
check "... and makes a program that loads the DLL" loads_dll microsoft yes
# FetchContent there is by clang: two things at once, to compile the library only once more.
checks_of tests/dist/install_page.py "$root/tests/dist/install_page.py" "$programs" "$package"
check "the DLL by clang needs no DLL of a compiler" clang_needs_no_runtime
check "each has what it asked for: install.md, archive" loads_dll page_fetch no
check "each has what it asked for: install.md, DLL" loads_dll clang/agent yes
checks_of packaging/go_get.sh "$root/packaging/go_get.sh" "$programs"
check "the demo's client builds" build_client || finish

[ ! -e "$("$lab" path)" ] || check "the lab $LAB is free" false || finish
lab_is_up=yes
check "the lab comes up" "$lab" up || finish
check "the package is staged" stage_programs || finish
for program in cmake_dll cmake_static pkg_dll pkg_static microsoft page_cmake page_fetch page_pkg; do
    check "$program runs and names the version" prints_version "$program"
done
check "the page's program with the DLL by clang runs and names the version" prints_version agent clang
check "the web server is ready" start_server || finish
for program in get_cgo get_dll; do
    check "the README's Go program redirects: $program" answers_itself "$program" 10.77.0.2:80
    check "the README's Go program redirects over IPv6: $program" answers_itself "$program" '[fd77::2]:80'
done
LAB_CWD=$stage E2E_LAUNCHER="$lab wine" checks_of packaging/e2e.py \
    python3 "$root/packaging/e2e.py" run "$stage" "$work/page" "$version" http://10.77.0.2/page 'http://[fd77::2]/page'
finish
