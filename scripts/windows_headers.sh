#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# scripts/windows_headers.sh FOLDER COMPILER FLAGS...   precompiles Windows' headers into FOLDER, unless that is done
#
# Prints the options that put them before a source. To read them takes nine tenths of the compiler's time, for each of a
# test's many small files. FLAGS must be those of the files.
set -eu
folder=$1 header=$1/windows_headers.h
shift
mkdir -p "$folder"
made=$(printf '%s\n' "$*" '#include <winsock2.h>' '#include <ws2tcpip.h>' '#include <windows.h>' | sed '1s|.*|/* & */|')
if [ ! -e "$header.gch" ] || [ "$(cat "$header")" != "$made" ]; then
    printf '%s\n' "$made" >"$header"
    "$@" -x c-header "$header" -o "$header.gch.$$"
    mv "$header.gch.$$" "$header.gch"
fi
printf -- '-include\n%s\n-Winvalid-pch\n' "$header"
