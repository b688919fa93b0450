# SPDX-License-Identifier: LGPL-3.0-or-later
"""What scenarios do to the network of the lab's hosts: packet rules, kernel settings, recordings of packets.

Packets are recorded on the client where they meet the driver: `before` is everything that the driver may take, as the
programs or the wire made it; `after` is what was injected for good. Both come from the kernel's packet log (NFLOG), so
a packet that never reaches a wire is seen too.
"""
import contextlib
import os
import signal
import socket
import struct
import subprocess

from lab import Failure, expect, on_host, wait_until

NATIVE_PID = 0x40000000  # what the lab adds to the pid of a native program (lab/README.md)
IPTABLES = {4: "iptables", 6: "ip6tables"}
FINAL_MARK = "0x57450000"  # of injected packets (windivert-labd --marks)
GROUPS = {"before": 5, "after": 6}
LINK_TYPE_NFLOG = 239
NFLOG_PAYLOAD = 9


@contextlib.contextmanager
def packet_rules(family, *rules, host="client", table="mangle"):
    """iptables rules, first in their chains, while the block runs; rules are texts like "OUTPUT -p tcp -j DROP"."""
    done = []
    try:
        for rule in rules:
            chain, *words = rule.split()
            on_host(host, IPTABLES[family], "-w", "-t", table, "-I", chain, *words)
            done.append((chain, words))
        yield
    finally:
        for chain, words in done:
            on_host(host, IPTABLES[family], "-w", "-t", table, "-D", chain, *words)


@contextlib.contextmanager
def kernel_setting(host, name, value):
    """A kernel setting of that host's namespace."""
    before = on_host(host, "sysctl", "-n", name).strip()
    on_host(host, "sysctl", "-qw", f"{name}={value}")
    try:
        yield
    finally:
        on_host(host, "sysctl", "-qw", f"{name}={before}")


def kernel_counters(host):
    """Counters of a host's IP and TCP, by name: "TcpInCsumErrors", "TcpExtTCPFastOpenPassive", "Ip6InHdrErrors" ..."""
    counters = {}
    lines = on_host(host, "cat", "/proc/net/snmp", "/proc/net/netstat").splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        group, *names = names.split()
        counters.update(zip((group[:-1] + name for name in names), map(int, values.split()[1:])))
    for line in on_host(host, "cat", "/proc/net/snmp6").splitlines():
        name, value = line.split()
        counters[name] = int(value)
    return counters


def increase(before, after, *names):
    return {name: after[name] - before[name] for name in names}


# ---- recordings

class Recording:
    """The packets before and after the driver, as bytes from the IP header on; complete once the block has ended."""

    def __init__(self, folder):
        self.paths = {name: os.path.join(folder, name + ".pcap") for name in GROUPS}
        self.packets = {}

    def read(self):
        """Takes over what has been recorded up to now; how many that are."""
        for name, path in self.paths.items():
            with open(path, "rb") as file:
                self.packets[name] = list(pcap_packets(file.read()))
        return {name: len(packets) for name, packets in self.packets.items()}


def pcap_packets(data):
    """The IP packets of a file of log messages; one that is not written to its end is left out."""
    if len(data) < 24:
        return
    kind = struct.unpack_from("<I", data, 20)[0]
    expect(kind == LINK_TYPE_NFLOG, f"the recording's link type is {kind}")
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        message = data[at + 16:at + 16 + length]
        if len(message) < length:
            return
        yield nflog_payload(message)
        at += 16 + length


def nflog_payload(message):
    at = 4  # after family, version and group
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("<HH", message, at)
        if kind & 0x7fff == NFLOG_PAYLOAD:
            return message[at + 4:at + size]
        at += (size + 3) & ~3
    raise Failure("a log message without a packet")


@contextlib.contextmanager
def recording(t, family, *matches):
    """Records TCP packets that match one of the texts ("--dport 80"), in this family, until the block ends."""
    folder = os.path.join(t.lab.state, t.world.name("recording"))
    os.mkdir(folder)
    record = Recording(folder)
    fresh, final = f"-m mark ! --mark {FINAL_MARK}", f"-m mark --mark {FINAL_MARK}"
    rules = []
    for match in matches:
        rules += [f"{chain} -p tcp {match} {fresh} -j NFLOG --nflog-threshold 1 --nflog-group {GROUPS['before']}"
                  for chain in ("OUTPUT", "INPUT ! -i lo")]
        rules.append(f"OUTPUT -p tcp {match} {final} -j NFLOG --nflog-threshold 1 --nflog-group {GROUPS['after']}")
    recorders = [start_recorder(t, record.paths[name], group, os.path.join(folder, name + ".err"))
                 for name, group in GROUPS.items()]
    try:
        with packet_rules(family, *rules):
            yield record
            wait_until(lambda: record.read() == logged(family), "everything that was logged recorded")
    finally:
        for recorder in recorders:
            recorder.send_signal(signal.SIGINT)
        for recorder in recorders:
            recorder.wait(10)


def logged(family):
    """How many packets the rules of recording() have logged, by group: all of them, since the rules are there."""
    counts = dict.fromkeys(GROUPS, 0)
    for chain in ("OUTPUT", "INPUT"):
        for line in on_host("client", IPTABLES[family], "-w", "-t", "mangle", "-nvxL", chain).splitlines():
            for name, group in GROUPS.items():
                if f"nflog-group {group}" in line:
                    counts[name] += int(line.split()[0])
    return counts


def start_recorder(t, path, group, errors):
    recorder = t.lab.popen("run", "client", "--", "tshark", "-n", "-q", "-l", "-F", "pcap", "-i", f"nflog:{group}",
                           "-w", path, out=errors)

    def ready():
        with open(errors, encoding="utf-8", errors="replace") as text:
            said = text.read()
        expect(recorder.poll() is None, "tshark has ended", said)
        return "Capturing on" in said and os.path.exists(path) and os.path.getsize(path) >= 24
    wait_until(ready, "tshark captures", 20)
    return recorder


def tshark_count(path, condition):
    """How many packets of a recording tshark finds with this display filter, all checksums looked at."""
    done = subprocess.run(["tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
                           "-Y", condition], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    expect(done.returncode == 0, "tshark cannot read the recording", done.stderr.strip())
    return len(done.stdout.splitlines())


# ---- packets

class Packet:
    """What the scenarios want to know of a TCP packet."""

    def __init__(self, data):
        self.data = data
        self.version = data[0] >> 4
        if self.version == 4:
            self.at = (data[0] & 15) * 4
            self.hosts = [socket.inet_ntop(socket.AF_INET, data[i:i + 4]) for i in (12, 16)]
        else:
            self.at = ipv6_header_length(data)
            self.hosts = [socket.inet_ntop(socket.AF_INET6, data[i:i + 16]) for i in (8, 24)]
        self.ports = struct.unpack_from("!HH", data, self.at)
        self.source, self.destination = (f"{host}/{port}" for host, port in zip(self.hosts, self.ports))

    def is_first_syn(self):
        return self.data[self.at + 13] & 0x12 == 0x02  # SYN, ACK

    def unchanging(self):
        """All that redirection must leave alone: every byte but addresses, ports and checksums."""
        data = bytearray(self.data)
        if self.version == 4:
            data[10:20] = bytes(10)
        else:
            data[8:40] = bytes(32)
        data[self.at:self.at + 4] = bytes(4)
        data[self.at + 16:self.at + 18] = bytes(2)
        return bytes(data)

    def without_checksums(self):
        data = bytearray(self.data)
        if self.version == 4:
            data[10:12] = bytes(2)
        data[self.at + 16:self.at + 18] = bytes(2)
        return bytes(data)


def ipv6_header_length(data):
    at, following = 40, data[6]
    while following in (0, 43, 60):  # hop-by-hop, routing, destination options
        following, at = data[at], at + 8 * (data[at + 1] + 1)
    expect(following == socket.IPPROTO_TCP, "no TCP packet", data[:at].hex())
    return at


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def options_of(data):
    """The TCP options of a packet: kind, and where it begins."""
    packet = Packet(data)
    end = packet.at + (data[packet.at + 12] >> 4) * 4
    at, found = packet.at + 20, {}
    while at < end and data[at]:
        found[data[at]] = at
        at += 1 if data[at] == 1 else data[at + 1]
    return found
