# SPDX-License-Identifier: LGPL-3.0-or-later
# The two hosts: network namespaces joined by a veth pair, and the rules that hand the client's TCP
# to the daemon. Sourced by lab/lab.
#
# Loopback traffic passes OUTPUT and INPUT; only OUTPUT is captured, because Windows shows a loopback
# packet once, as outbound. Packets the daemon has injected for good carry a mark and are let alone.

network_up() {
    local mark table
    mark=$("$labd" --marks | awk '$1 == "final" { print $2 }')
    [ -n "$mark" ] || { say "the daemon does not tell its mark" >&2; return 1; }
    ip netns add "$client_ns" &&
        ip netns add "$server_ns" &&
        ip link add lan netns "$client_ns" type veth peer name lan netns "$server_ns" || return 1
    ip -n "$client_ns" -batch - <<-END &&
		link set lo up
		link set lan up
		addr add 10.77.0.1/24 dev lan
		addr add 10.77.0.11/24 dev lan
		addr add fd77::1/64 dev lan nodad
		addr add fd77::11/64 dev lan nodad preferred_lft 0
	END
    ip -n "$server_ns" -batch - <<-END || return 1
		link set lo up
		link set lan up
		addr add 10.77.0.2/24 dev lan
		addr add fd77::2/64 dev lan nodad
	END
    for table in iptables-restore ip6tables-restore; do
        nsenter --net="/run/netns/$client_ns" -- $table <<-END || return 1
			*mangle
			-A OUTPUT -p tcp -m mark ! --mark $mark -j NFQUEUE --queue-num 0 --queue-bypass
			-A INPUT ! -i lo -p tcp -m mark ! --mark $mark -j NFQUEUE --queue-num 0 --queue-bypass
			COMMIT
		END
    done
}

network_down() {
    local ns
    for ns in "$client_ns" "$server_ns"; do
        [ ! -e "/run/netns/$ns" ] || ip netns del "$ns"
    done
}
