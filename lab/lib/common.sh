# SPDX-License-Identifier: LGPL-3.0-or-later
# Names, paths and small helpers shared by the parts of lab/lab. Sourced, never run.

lab_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lab_name=${LAB:-wrlab}
lab_build=$lab_root/build/lab
lab_state=${LAB_STATE:-/run/windows-redirector-lab}/$lab_name

. "$lab_root/scripts/windivert.sh"
windivert_dir=${WINDIVERT_DIR:-$lab_root/build/windivert}
wine=$lab_root/scripts/wine64
wineserver=/usr/lib/wine/wineserver64
labd=$lab_build/windivert-labd

client_ns=$lab_name-client
server_ns=$lab_name-server
prefix=$lab_state/prefix
stage=$lab_state/win
control=$lab_state/control.sock

cgroup_mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
client_cgroup=$cgroup_mount/$lab_name
server_cgroup=$cgroup_mount/$lab_name-server
daemon_cgroup=$cgroup_mount/$lab_name-daemon

# A shim in PATH may take longer to start than the helper takes to run.
python=/usr/bin/python3
[ -x $python ] || python=python3

say() { printf 'lab %s: %s\n' "$lab_name" "$*"; }
fail() { say "$*" >&2; exit 1; }

# Everything Wine looks at, in one place. The overrides keep the prefix headless and small, and prefer
# the lab's own iphlpapi.dll and fwpuclnt.dll (in the template there are only Wine's).
wine_environment() {
    unset DISPLAY WAYLAND_DISPLAY
    export WINEPREFIX=$prefix WINESERVER=$wineserver
    export WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES="mscoree,mshtml=;iphlpapi,fwpuclnt=n,b"
}

# Enters a cgroup and a namespace and becomes the command: the pid is the caller's own.
# `ip netns exec` will not do: it remounts /sys and so hides the cgroups. Ten thousand connections, each
# of several sockets, need more files than a process usually may have (under Wine all are wineserver's).
enter() {
    local cgroup=$1 ns=$2
    shift 2
    ulimit -n 262144 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    echo "$BASHPID" > "$cgroup/cgroup.procs"
    exec nsenter --net="/run/netns/$ns" -- "$@"
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when the time is over.
wait_for() {
    local end=$((${EPOCHREALTIME//[.,]/} + $1 * 1000000))
    shift
    until "$@"; do
        [ "${EPOCHREALTIME//[.,]/}" -lt $end ] || return 1
        sleep 0.02
    done
}

# The daemon has a cgroup to itself.
daemon_pid() {
    local pid
    [ -d "$daemon_cgroup" ] && read -r pid < "$daemon_cgroup/cgroup.procs" && echo "$pid"
}

wineserver_pid() {
    local pid
    [ -d "$client_cgroup" ] || return 1
    while read -r pid; do
        [ ! "/proc/$pid/exe" -ef $wineserver ] || { echo "$pid"; return 0; }
    done < "$client_cgroup/cgroup.procs"
    return 1
}
