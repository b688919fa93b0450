# SPDX-License-Identifier: LGPL-3.0-or-later
# What the lab needs of the machine. Sourced by lab/lab. Each function prints one line naming what is
# missing and fails, or is silent.

lacks() { say "cannot run here: $*" >&2; return 1; }

check_machine() {
    local tool
    [ "$EUID" = 0 ] || lacks "not root" || return 1
    for tool in ip nsenter unshare flock iptables-restore ip6tables-restore "$python"; do
        command -v "$tool" >/dev/null || lacks "no program $tool" || return 1
    done
    unshare --net true 2>/dev/null || lacks "no network namespaces" || return 1
    [ -r /sys/kernel/btf/vmlinux ] || lacks "no eBPF type information (/sys/kernel/btf/vmlinux)" || return 1
    [ -n "$cgroup_mount" ] || lacks "no cgroup2 file system is mounted" || return 1
    [ -w "$cgroup_mount" ] || lacks "the cgroup2 file system $cgroup_mount is not writable" || return 1
}

check_files() {
    [ -x "$wineserver" ] || lacks "Wine is missing (Debian package wine64)" || return 1
    [ -x "$labd" ] && [ -e "$lab_build/drivers/wdfldr.sys" ] && [ -e "$lab_build/drivers/fwpkclnt.sys" ] &&
        [ -e "$lab_build/system32/iphlpapi.dll" ] && [ -e "$lab_build/system32/fwpuclnt.dll" ] ||
        lacks "the lab is not built (lab/build.sh)" || return 1
    [ -e "$windivert_dir/WinDivert.dll" ] ||
        lacks "no WinDivert.dll in $windivert_dir (make setup, or set WINDIVERT_DIR)" || return 1
    check_driver "$windivert_dir"
}

# The driver in that folder is the one that the lab is made for: what is beneath it knows its layouts.
check_driver() {
    [ -e "$1/WinDivert64.sys" ] || lacks "no WinDivert64.sys in $1 (make setup, or set WINDIVERT_DIR)" || return 1
    is_genuine "$1/WinDivert64.sys" "$sys_sha256" ||
        lacks "$1/WinDivert64.sys is not the driver of WinDivert 2.2.2 x64 (its SHA-256 is not $sys_sha256)"
}

# The rule and the queue for real, in a namespace that goes with the process.
check_nfqueue() {
    unshare --net -- iptables-restore 2>/dev/null <<-END || lacks "no NFQUEUE target in iptables" || return 1
		*mangle
		-A OUTPUT -p tcp -m mark ! --mark 1 -j NFQUEUE --queue-num 0 --queue-bypass
		COMMIT
	END
    unshare --net -- ip6tables-restore 2>/dev/null <<-END || lacks "no socket match in ip6tables" || return 1
		*mangle
		-A PREROUTING -m socket -m mark --mark 1 -j ACCEPT
		COMMIT
	END
    check_daemon
}

# The daemon itself, in a namespace and cgroup that go again: whatever eBPF or netfilter lacks, it
# says on its last line.
check_daemon() (
    dir=$(mktemp -d) || exit 1
    cgroup=$cgroup_mount/windows-redirector-check-$$
    pid=
    trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; wait; rmdir "$cgroup"; rm -rf "$dir"' EXIT
    : > "$dir/log"
    mkdir "$cgroup" || lacks "cannot make a cgroup in $cgroup_mount" || exit 1
    unshare --net -- "$labd" --cgroup "$cgroup" --control "$dir/control" > "$dir/log" 2>&1 &
    pid=$!
    daemon_decided() { grep -qx ready "$dir/log" || ! kill -0 "$pid" 2>/dev/null; }
    wait_for 30 daemon_decided
    grep -qx ready "$dir/log" || lacks "the daemon does not start: $(tail -n 1 "$dir/log")"
)

check_all() {
    check_machine && check_files && check_nfqueue && say "this machine can run it"
}
