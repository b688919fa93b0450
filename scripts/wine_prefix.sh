#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# scripts/wine_prefix.sh make PREFIX      makes a Wine prefix
# scripts/wine_prefix.sh copy FROM TO     makes another one of it, in half a second
# scripts/wine_prefix.sh remove PREFIX    no wineserver may run in it any more
#
# A copy has links to the files of the first one, because those are 700 MB, and nobody writes to them; only the registry
# is its own.
set -eu
action=$1 prefix=$2
scripts=$(cd "$(dirname "$0")" && pwd)

case $action in
make)
    as_user=()
    [ "$(id -u)" = 0 ] || as_user=(--map-root-user)
    unset DISPLAY WAYLAND_DISPLAY
    export WINEPREFIX=$prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
    mkdir -p "$prefix"
    # In a network namespace with nothing in it, so that nothing gets out.
    unshare "${as_user[@]}" --net -- "$scripts/wine64" wineboot -i
    "$(command -v wineserver || echo /usr/lib/wine/wineserver)" -w
    ;;
copy)
    mkdir "$3"
    cp -as "$(realpath "$prefix")/drive_c" "$3"
    cp -a "$prefix/dosdevices" "$prefix"/*.reg "$prefix/.update-timestamp" "$3"
    ;;
remove)
    # Debian's wineserver has a folder in /tmp, whose name it keeps in the prefix.
    if [ -r "$prefix/wineserver" ] && name=$(cat "$prefix/wineserver") && [[ $name == wine-?????? ]]; then
        rm -rf "/tmp/$name"
    fi
    rm -rf "$prefix"
    ;;
esac
