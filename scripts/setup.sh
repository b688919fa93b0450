#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Gets this machine ready: installs what is missing, says line by line what is there, and exits 1 when something needed
# could not be had. Run again, it finds everything in place and takes a moment.
#
#   WINDIVERT_DIR=folder   use WinDivert.dll and WinDivert64.sys of that folder instead of downloading them
#   LAB=off                do without what only the lab needs (see tests/run)
set -u
cd "$(dirname "$0")/.." || exit 1

. scripts/windivert.sh
readonly stage=build/windivert
lab=${LAB:-on}
missing=0

have() { printf '  have     %s\n' "$*"; }
doing() { printf '  install  %s\n' "$*"; }
lack() {
    printf '  MISSING  %s\n' "$*"
    missing=$((missing + 1))
}

# ---------------------------------------------------------------------------------------------- Debian packages

# wanted_packages: "package<TAB>reason" of every group that this run needs.
wanted_packages() {
    awk -v lab="$lab" '
        /^#/ || NF == 0 { next }
        $1 == "lab" && lab == "off" { next }
        { package = $2; $1 = ""; $2 = ""; sub(/^ +/, ""); print package "\t" $0 }' scripts/packages.txt
}

# absent_packages: those of them that are not installed.
absent_packages() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | awk '$1 == "installed" { print $2 }')
    wanted_packages | awk -F '\t' -v installed="$installed" '
        BEGIN { split(installed, names, "\n"); for (i in names) there[names[i]] = 1 }
        !($1 in there)'
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >build/setup.log 2>&1
}

apt_update_and_install() {
    apt-get update >build/setup-update.log 2>&1
    apt_install "$@"
}

install_packages() {
    local absent package reason
    local -a names
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        lack "apt: this is not Debian. Install by hand what scripts/packages.txt lists"
        return
    fi
    absent=$(absent_packages)
    if [ -z "$absent" ]; then
        have "$(wanted_packages | wc -l) Debian packages"
        return
    fi
    if [ "$(id -u)" -eq 0 ]; then
        mapfile -t names < <(cut -f 1 <<<"$absent")
        doing "${#names[@]} Debian packages (this takes minutes; log: build/setup.log): ${names[*]}"
        # The package lists of a fresh machine may be absent or old: update them only if the first try fails. And one
        # package that cannot be had must not keep the others away.
        if ! apt_install "${names[@]}" && ! apt_update_and_install "${names[@]}"; then
            for package in "${names[@]}"; do apt_install "$package"; done
        fi
        absent=$(absent_packages)
    fi
    have "$(($(wanted_packages | wc -l) - $(grep -c . <<<"$absent"))) Debian packages"
    [ -z "$absent" ] && return
    while IFS=$'\t' read -r package reason; do
        lack "Debian package $package: $reason"
    done <<<"$absent"
    if [ "$(id -u)" -ne 0 ]; then
        echo '           not root: run "sudo scripts/setup.sh", or as root:'
        echo "           apt-get install --no-install-recommends $(cut -f 1 <<<"$absent" | tr '\n' ' ')"
    else
        printf '           what apt said:\n'
        tail -n 5 build/setup.log | sed 's/^/             /'
    fi
}

# chrony, an NTP server of the end-to-end tests, is unpacked and not installed: for it, Debian would remove what sets
# this machine's clock. Its libraries are those of apt and wine64.
unpack_chrony() {
    local there=build/unpacked/chrony folder result
    if [ -x $there/usr/sbin/chronyd ]; then
        have "Debian package chrony, unpacked in $there"
        return
    elif [ "$lab" = off ] || ! command -v apt-get >/dev/null; then
        return
    fi
    doing "Debian package chrony, unpacked into $there"
    folder=$(mktemp -d) || return
    {
        ( # as root, apt-get would download as a user of its own, who may not write there; it says so, and goes on
            cd "$folder" && { apt-get download chrony || { apt-get update && apt-get download chrony; }; }
        ) && mkdir -p $there && dpkg-deb -x "$folder"/chrony_*.deb $there
    } >build/setup-chrony.log 2>&1
    result=$?
    rm -rf "$folder"
    [ $result -eq 0 ] || lack "Debian package chrony, an NTP server of the tests (log: build/setup-chrony.log)"
}

# ---------------------------------------------------------------------------------------------- WinDivert

# genuine_windivert FOLDER: both files are there, and are the pinned ones.
genuine_windivert() {
    is_genuine "$1/WinDivert.dll" "$dll_sha256" && is_genuine "$1/WinDivert64.sys" "$sys_sha256"
}

# find_pip: prints a python3 that has pip.
find_pip() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -m pip --version >/dev/null 2>&1 && { echo "$python"; return; }
    done
    [ "$(id -u)" -eq 0 ] || return
    doing "Debian package python3-pip, to fetch the WinDivert wheel" >&2
    apt_install python3-pip || apt_update_and_install python3-pip || return
    echo /usr/bin/python3
}

# fetch_windivert: downloads the wheel (pip checks its hash) and unpacks the two files.
fetch_windivert() {
    local python folder result
    python=$(find_pip)
    if [ -z "$python" ]; then
        echo "pip is not there (Debian package python3-pip)" >build/setup-windivert.log
        return 1
    fi
    folder=$(mktemp -d) || return 1
    "$python" -m pip --disable-pip-version-check download --no-deps --only-binary :all: --no-cache-dir \
        --require-hashes -r scripts/windivert.txt -d "$folder" >build/setup-windivert.log 2>&1 &&
        mkdir -p "$stage" &&
        "$python" - "$folder"/pydivert-*.whl "$stage" >>build/setup-windivert.log 2>&1 <<'PYTHON'
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for member, name in (("WinDivert64.dll", "WinDivert.dll"), ("WinDivert64.sys", "WinDivert64.sys")):
        pathlib.Path(sys.argv[2], name).write_bytes(wheel.read("pydivert/windivert_dll/" + member))
PYTHON
    result=$?
    rm -rf "$folder"
    return $result
}

# say_what_is_wrong FOLDER: names the file that is not there or is not the pinned one.
say_what_is_wrong() {
    local entry file sum
    for entry in "WinDivert.dll $dll_sha256" "WinDivert64.sys $sys_sha256"; do
        read -r file sum <<<"$entry"
        if [ ! -f "$1/$file" ]; then
            lack "$1/$file: no such file"
        elif ! is_genuine "$1/$file" "$sum"; then
            lack "$1/$file: not the file of WinDivert 2.2.2 x64 (its SHA-256 is not $sum)"
        fi
    done
}

install_windivert() {
    if [ -n "${WINDIVERT_DIR:-}" ]; then
        if genuine_windivert "$WINDIVERT_DIR"; then
            have "WinDivert 2.2.2 in $WINDIVERT_DIR (WINDIVERT_DIR), SHA-256 right"
        else
            say_what_is_wrong "$WINDIVERT_DIR"
        fi
    elif genuine_windivert "$stage"; then
        have "WinDivert 2.2.2 in $stage, SHA-256 right"
    elif [ "$lab" = off ]; then
        have "no WinDivert, and none needed: LAB=off"
    else
        doing "WinDivert 2.2.2 (DLL and driver) into $stage"
        if ! fetch_windivert; then
            lack "WinDivert 2.2.2: the download failed; without it nothing can run in the lab"
            tail -n 3 build/setup-windivert.log | sed 's/^/             /'
            echo '           or get WinDivert-2.2.2 yourself and set WINDIVERT_DIR to its x64 folder'
        elif genuine_windivert "$stage"; then
            have "WinDivert 2.2.2 in $stage, SHA-256 right"
        else
            say_what_is_wrong "$stage"
        fi
    fi
}

# ---------------------------------------------------------------------------------------------- Go

check_go() {
    if [ -x /usr/lib/go-1.19/bin/go ]; then
        have "Go 1.19 in /usr/lib/go-1.19"
    else
        lack "Go 1.19 at /usr/lib/go-1.19/bin/go (Debian golang-1.19): programs of later ones do not run under Wine 8"
    fi
}

echo "setup: what this machine has"
mkdir -p build
install_packages
unpack_chrony
check_go
install_windivert
packaging/tools.sh || missing=$((missing + 1))
if [ "$missing" -ne 0 ]; then
    echo "setup: $missing missing"
    exit 1
fi
echo "setup: ready"
