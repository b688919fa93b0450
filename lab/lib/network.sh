# SPDX-License-Identifier: LGPL-3.0-or-later
# The two hosts: network namespaces joined by a veth pair, and the rules that hand the client's packets
# to the daemon. Sourced by lab/lab.
#
# Loopback traffic passes OUTPUT and INPUT; only OUTPUT is captured, because Windows shows a loopback
# packet once, as outbound. Packets that the daemon sends have been through all handles; they carry a mark
# and are let alone.
#
# TCP has a queue to itself. The daemon opens the other one when a filter can match something else; until
# then the kernel lets those packets by. Neighbour discovery and multicast groups (ICMPv6 130 to 137 and
# 143) are never queued: re-injected through `lo` they would be lost, and IPv6 with them.

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
    network_limits "$client_ns" && network_limits "$server_ns" || return 1
    network_capture iptables-restore "$mark" "" &&
        network_capture ip6tables-restore "$mark" "130 131 132 133 134 135 136 137 143" || return 1
    # A rule that asks for a packet's socket, and matches none: with it, fragments of IPv6 are put together before
    # they are captured, as those of IPv4 are anyway.
    nsenter --net="/run/netns/$client_ns" -- \
        ip6tables -t mangle -A PREROUTING -s ::1/128 -d ::2/128 -m socket -j ACCEPT
}

# network_capture PROGRAM FINAL-MARK ICMP6-TYPES: the types are let alone.
network_capture() {
    local type rules=
    for type in $3; do
        rules+="-A OUTPUT -p ipv6-icmp --icmpv6-type $type -j ACCEPT
-A INPUT -p ipv6-icmp --icmpv6-type $type -j ACCEPT
"
    done
    nsenter --net="/run/netns/$client_ns" -- "$1" <<-END
		*mangle
		-A OUTPUT -p tcp -m mark ! --mark $2 -j NFQUEUE --queue-num 0 --queue-bypass
		-A INPUT ! -i lo -p tcp -m mark ! --mark $2 -j NFQUEUE --queue-num 0 --queue-bypass
		$rules
		-A OUTPUT ! -p tcp -m mark ! --mark $2 -j NFQUEUE --queue-num 1 --queue-bypass
		-A INPUT ! -i lo ! -p tcp -m mark ! --mark $2 -j NFQUEUE --queue-num 1 --queue-bypass
		COMMIT
	END
}

# Room for ten thousand connections at a time, each of which may use up two ports of the client, beside
# those in TIME_WAIT, and for many SYNs at once. There is no connection tracking in these namespaces.
network_limits() {
    nsenter --net="/run/netns/$1" -- sh -c 'cd /proc/sys/net && echo 16384 > core/somaxconn &&
        echo 16384 > ipv4/tcp_max_syn_backlog && echo "25000 65535" > ipv4/ip_local_port_range'
}

# The conditions on the wire are made by the daemon, with every packet that the server gets or sends
# (ICMPv6 excepted: without neighbour discovery the wire would seem cut). The server's mangle table
# holds nothing else.
network_wire_on() {
    local table
    for table in iptables ip6tables; do
        nsenter --net="/run/netns/$server_ns" -- $table-restore <<-END || return 1
			*mangle
			-A PREROUTING -i lan $([ $table = iptables ] || echo '! -p ipv6-icmp') -j NFQUEUE --queue-num 0 --queue-bypass
			-A POSTROUTING -o lan $([ $table = iptables ] || echo '! -p ipv6-icmp') -j NFQUEUE --queue-num 0 --queue-bypass
			COMMIT
		END
    done
}

network_wire_off() {
    local table
    for table in iptables ip6tables; do
        nsenter --net="/run/netns/$server_ns" -- $table -t mangle -F || return 1
    done
}

network_down() {
    local ns
    for ns in "$client_ns" "$server_ns"; do
        [ ! -e "/run/netns/$ns" ] || ip netns del "$ns"
    done
}
