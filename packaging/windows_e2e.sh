#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# packaging/windows_e2e.sh     on Windows, in an elevated MSYS2 shell (MINGW64: gcc, cmake, ninja; PATH: python, go)
#
# The package of build/dist, and the same built here from the sources by MSYS2's mingw-w64, each do their main job with
# the real driver: redirector.exe with its relay, and the example agent over the public API, redirect a program that
# fetches a page from a local server over IPv4 and IPv6, on loopback and by the machine's own address. The checks are
# those of packaging/e2e.py, which the lab has proven. Then the package's first_run.cmd does what it does for a user. What
# a run leaves behind is in build/windows-e2e.
set -eu

cd "$(dirname "$0")/.."
export MSYS2_ARG_CONV_EXCL=http:// # MSYS2 makes Windows paths of arguments that look like Unix ones
work=$PWD/build/windows-e2e
port=8077
server=
rm -rf "$work"
mkdir -p "$work"
trap '[ -z "$server" ] || kill "$server"' EXIT

echo "--- the package, and a build of our own"
python -m zipfile -e build/dist/windows-redirector-*-win64.zip "$work"
package=$(echo "$work"/windows-redirector-*)
(cd "$package" && sha256sum --check --strict --quiet SHA256SUMS)
own=$work/own
cmake --preset msys2 -B "$work/build" -DCMAKE_INSTALL_PREFIX="$(cygpath -m "$own")"
cmake --build "$work/build" --target install
cp "$package"/bin/WinDivert* "$own/bin/"

echo "--- the programs"
version=$(sed -n 's/^#define REDIRECTOR_VERSION_STRING "\(.*\)"/\1/p' include/windows_redirector.h)
CGO_ENABLED=1 CC=gcc go build -o "$work/agent.exe" ./go/examples/agent
CGO_ENABLED=0 go build -o "$work/agent_dll.exe" ./go/examples/agent
for folder in "$package" "$own"; do
    cp "$work"/agent{,_dll}.exe "$folder/bin/"
    gcc -std=c11 -O2 -D_WIN32_WINNT=0x0A00 -o "$folder/bin/winsock_fetch.exe" demo/winsock_fetch.c \
        -static -lws2_32 -lbcrypt
done

echo "--- the server"
head -c 300000 /dev/urandom >"$work/page"
python packaging/e2e.py serve $port "$work/page" >"$work/server" 2>&1 &
server=$!
for ((patience = 300; patience > 0; patience--)); do
    grep -q ready "$work/server" && break
    kill -0 $server || { cat "$work/server"; exit 1; }
    sleep 0.1
done
# The address that Windows would use towards the world; nothing is sent.
address=$(python -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(("192.0.2.1", 9))
print(s.getsockname()[0])' | tr -d '\r')

status=0
for folder in "$package" "$own"; do
    echo "--- $folder"
    python packaging/e2e.py run "$folder/bin" "$work/page" "$version" \
        "http://127.0.0.1:$port/page" "http://[::1]:$port/page" "http://$address:$port/page" || status=1
    sc stop WinDivert || true # so that the next folder's own driver file is loaded
done

echo "--- the first run" # by Windows' own shell, with MSYS2's programs in the path
(cd "$work" && cmd //c "$(cygpath -w "$package/first_run.cmd")") || status=1
exit $status
