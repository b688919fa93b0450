# SPDX-License-Identifier: LGPL-3.0-or-later
"""windows_redirector.dll from Python, by ctypes: nothing to install, nothing to compile.

    import windows_redirector
    with windows_redirector.Redirector(roots=[pid], proxy_port=8080) as redirector:
        ...
        where = redirector.destination(writer.get_extra_info("peername"))   # in a proxy, for each accepted connection

The DLL, WinDivert.dll and WinDivert64.sys are expected beside this file; load() takes another path for the first.
Needs a 64-bit Python 3.8 or later, run as administrator. The structures are those of windows_redirector.h, field by
field.
"""
import collections
import ctypes
import ipaddress
import pathlib
from ctypes import POINTER, byref, c_char, c_char_p, c_uint8, c_uint32, c_uint64, c_void_p

HERE = pathlib.Path(__file__).resolve().parent

(KEEP_FLOWS_ON_STOP, REFLECT, FAIL_CLOSED, DESCENDANTS_ONLY, UNLOAD_DRIVER, NO_LOOPBACK, CAPTURE_ALL, NO_FIREWALL_PERMIT,
 NO_PROOF, DEBUG_PRIVILEGE, SMALL_SEGMENTS) = (1 << bit for bit in range(11))
KINDS = {0: "outgoing", 1: "incoming"}
STATES = {1: "opening", 2: "open", 3: "closing"}
ACCEPT, REFUSE, PASS, DROP = 1, 2, 3, 4  # decisions
STATUS_OK, STATUS_NOT_FOUND = 0, 8

LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_char_p)


class Structure(ctypes.Structure):
    """A structure that begins with its size."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.size = ctypes.sizeof(self)


class redirector_error(Structure):
    _fields_ = [("size", c_uint32), ("code", c_uint32), ("os_error", c_uint32), ("text", c_char * 324)]


class redirector_rule(ctypes.Structure):
    _fields_ = [("include", c_uint32), ("pid", c_uint32), ("pattern", c_char_p), ("listener", c_char_p)]


class redirector_address(ctypes.Structure):
    _fields_ = [("family", c_uint32), ("port", c_uint32), ("bytes", c_uint8 * 16), ("scope", c_uint32)]


class redirector_config(Structure):
    _fields_ = [("size", c_uint32), ("client_pid", c_uint32), ("agent_pid", c_uint32), ("proxy_port", c_uint32),
                ("incoming_port", c_uint32), ("flags", c_uint32), ("hold_timeout_ms", c_uint32),
                ("log_level", c_uint32), ("scan_interval_ms", c_uint32), ("rule_count", c_uint32),
                ("rules", POINTER(redirector_rule)), ("windivert_dir", c_char_p), ("log_path", c_char_p),
                ("log_fn", LogFunction), ("log_context", c_void_p), ("roots", POINTER(c_uint32)),
                ("root_count", c_uint32), ("upstream_count", c_uint32), ("upstreams", POINTER(redirector_address)),
                ("decision_timeout_ms", c_uint32), ("listen_port_count", c_uint32),
                ("listen_ports", POINTER(c_uint32))]


class redirector_destination(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("incoming", c_uint32), ("reserved", c_uint32),
                ("destination", redirector_address), ("connection_id", c_uint64)]


class redirector_connection(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("connection_id", c_uint64), ("client", redirector_address),
                ("destination", redirector_address)]


class redirector_flow(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("kind", c_uint32), ("state", c_uint32),
                ("client", redirector_address), ("destination", redirector_address), ("peer", redirector_address),
                ("reserved", c_uint32), ("bytes_up", c_uint64), ("bytes_down", c_uint64), ("packets_up", c_uint64), ("packets_down", c_uint64),
                ("opened_ms", c_uint64), ("age_ms", c_uint64)]


class redirector_stats(Structure):
    _fields_ = [("size", c_uint32), ("flows_live", c_uint32)] + [
        (name, c_uint64) for name in (
            "flows_total flow_table_full packets_seen packets_passed packets_rewritten packets_held packets_dropped "
            "packets_malformed proxy_not_listening hold_timeouts hold_overflows send_errors receive_errors events_seen "
            "lookups_hit lookups_missed log_lines_dropped queue_delay_last_us queue_delay_max_us queue_delay_mean_us "
            "capture_waits filter_replacements watchdog_trips syns_forwarded link_local_passed capture_timeouts "
            "self_connections proxy_connections decision_waits decision_timeouts decision_overflows "
            "priority_shared led_by_others firewall_permit members_forgotten members_outside "
            "tree_listeners proofs steering_replaced handle_renewals table_waits table_timeouts table_failures "
            "agent_connections loopback_passed listener_overflows processes_unknown segments_cut "
            "large_segments").split()]


STRUCTURES = (redirector_error, redirector_rule, redirector_config, redirector_address, redirector_destination,
              redirector_connection, redirector_flow, redirector_stats)

PROTOTYPES = {
    "redirector_start": (c_uint32, [POINTER(redirector_config), POINTER(c_void_p), POINTER(redirector_error)]),
    "redirector_stop": (c_uint32, [c_void_p]),
    "redirector_free": (None, [c_void_p]),
    "redirector_get_state": (c_uint32, [c_void_p, POINTER(redirector_error)]),
    "redirector_lookup": (c_uint32, [c_void_p, POINTER(redirector_address), POINTER(redirector_destination)]),
    "redirector_forget": (c_uint32, [c_void_p, POINTER(redirector_address)]),
    "redirector_next_connection": (c_uint32, [c_void_p, POINTER(redirector_connection), c_uint32]),
    "redirector_decide": (c_uint32, [c_void_p, c_uint64, c_uint32]),
    "redirector_set_rules": (c_uint32, [c_void_p, POINTER(redirector_rule), c_uint32]),
    "redirector_list_flows": (c_uint32, [c_void_p, POINTER(redirector_flow), c_uint32, POINTER(c_uint32)]),
    "redirector_get_stats": (c_uint32, [c_void_p, POINTER(redirector_stats)]),
    "redirector_status_name": (c_char_p, [c_uint32]),
    "redirector_version": (c_char_p, []),
}

Destination = collections.namedtuple("Destination", "host port pid incoming connection_id")
Undecided = collections.namedtuple("Undecided", "connection_id pid client destination")
Connection = collections.namedtuple(
    "Connection", "pid kind state client destination peer bytes_up bytes_down packets_up packets_down opened_ms age_ms")


class Error(Exception):
    """An error of the library: what happened and what to do."""

    def __init__(self, name, text=""):
        super().__init__(text or name)
        self.name = name


_library = None


def load(path=HERE / "windows_redirector.dll"):
    """Loads the library; Redirector does so by itself, from beside this file."""
    global _library
    _library = ctypes.CDLL(str(path))
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(_library, name)
        function.restype, function.argtypes = result, arguments
    return _library


def _check(status, text=""):
    if status != STATUS_OK:
        raise Error(_library.redirector_status_name(status).decode(), text)


def _address_to_c(host, port, _flow_information=0, scope=0):
    host, _, zone = host.partition("%")
    ip = ipaddress.ip_address(host)
    ip = getattr(ip, "ipv4_mapped", None) or ip  # the form of IPv4 peers of a dual-stack listener
    return redirector_address(family=ip.version, port=port, bytes=(c_uint8 * 16)(*ip.packed),
                              scope=scope or (int(zone) if zone.isdigit() else 0))


def _address_from_c(address):
    """The scope of a link-local address stands behind it, fe80::1%4, as connect() takes it."""
    packed = bytes(address.bytes)
    ip = str(ipaddress.ip_address(packed[:4] if address.family == 4 else packed))
    return f"{ip}%{address.scope}" if address.scope else ip, address.port


def _rules_to_c(rules):
    """[(True, "curl.exe"), (False, 4711)]: include or exclude, a pattern or a process id. A third word is a pattern for
    who listens at the other end, on this machine; then the second may be None."""
    array = (redirector_rule * len(rules))()
    for rule, (include, what, *listener) in zip(array, rules):
        rule.include = int(include)
        if isinstance(what, int):
            rule.pid = what
        elif what is not None:
            rule.pattern = what.encode()
        rule.listener = listener[0].encode() if listener else None
    return array


class Redirector:
    """A running redirector; use it as a context manager, or call close()."""

    def __init__(self, roots, proxy_port=0, incoming_port=0, agent_pid=0, flags=0, rules=(), windivert_dir=HERE,
                 log_path=None, log=None, upstreams=(), decision_timeout_ms=0, listen_ports=()):
        if _library is None:
            load()
        # The callback must exist as long as the redirector.
        self._log_function = LogFunction(lambda _, level, line: log(level, line.decode())) if log else LogFunction()
        config = redirector_config(
            proxy_port=proxy_port, incoming_port=incoming_port, agent_pid=agent_pid, flags=flags,
            roots=(c_uint32 * len(roots))(*roots), root_count=len(roots), rules=_rules_to_c(rules),
            rule_count=len(rules), upstream_count=len(upstreams),
            upstreams=(redirector_address * len(upstreams))(*(_address_to_c(*address) for address in upstreams)),
            decision_timeout_ms=decision_timeout_ms, listen_port_count=len(listen_ports),
            listen_ports=(c_uint32 * len(listen_ports))(*listen_ports), windivert_dir=str(windivert_dir).encode(),
            log_fn=self._log_function, log_path=None if log_path is None else str(log_path).encode())
        self._handle = c_void_p()
        error = redirector_error()
        _check(_library.redirector_start(byref(config), byref(self._handle), byref(error)), error.text.decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stops and frees it. No other call may use it during or after this one."""
        handle, self._handle = self._handle, None
        _library.redirector_free(handle)

    def destination(self, peer):
        """Original destination of a peer (host, port, ...) as the proxy sees it; None: not a redirected connection."""
        found = redirector_destination()
        status = _library.redirector_lookup(self._handle, byref(_address_to_c(*peer)), byref(found))
        if status == STATUS_NOT_FOUND:
            return None
        _check(status)
        return Destination(*_address_from_c(found.destination), found.pid, bool(found.incoming), found.connection_id)

    def next_connection(self, timeout_ms=0xFFFFFFFF):
        """Waits for the next outgoing connection to decide about; None: there was none in time. Needs
        decision_timeout_ms."""
        found = redirector_connection()
        status = _library.redirector_next_connection(self._handle, byref(found), timeout_ms)
        if status == STATUS_NOT_FOUND:
            return None
        _check(status)
        return Undecided(found.connection_id, found.pid, _address_from_c(found.client),
                         _address_from_c(found.destination))

    def decide(self, connection_id, decision):
        """ACCEPT, REFUSE, PASS or DROP. False: it does not wait for that any more."""
        status = _library.redirector_decide(self._handle, connection_id, decision)
        if status != STATUS_NOT_FOUND:
            _check(status)
        return status == STATUS_OK

    def forget(self, peer):
        """Removes the mapping of a peer; its connection goes on. False: there was none."""
        status = _library.redirector_forget(self._handle, byref(_address_to_c(*peer)))
        if status != STATUS_NOT_FOUND:
            _check(status)
        return status == STATUS_OK

    def set_rules(self, rules):
        """Replaces the rules."""
        _check(_library.redirector_set_rules(self._handle, _rules_to_c(rules), len(rules)))

    def connections(self):
        """The redirected connections that exist now."""
        total, room = c_uint32(16), 0
        while total.value > room:  # more may have begun since they were counted
            room = total.value + 16
            flows = (redirector_flow * room)()
            flows[0].size = ctypes.sizeof(redirector_flow)
            _check(_library.redirector_list_flows(self._handle, flows, room, byref(total)))
        return [Connection(f.pid, KINDS[f.kind], STATES[f.state], _address_from_c(f.client),
                           _address_from_c(f.destination), _address_from_c(f.peer), f.bytes_up, f.bytes_down,
                           f.packets_up, f.packets_down, f.opened_ms, f.age_ms) for f in flows[:total.value]]

    def stats(self):
        """The counters, as a dictionary."""
        stats = redirector_stats()
        _check(_library.redirector_get_stats(self._handle, byref(stats)))
        return {name: getattr(stats, name) for name, _ in stats._fields_ if name != "size"}

    def failure(self):
        """Why redirection has ended by itself; None: it has not."""
        error = redirector_error()
        failed = _library.redirector_get_state(self._handle, byref(error)) == 3
        return error.text.decode() if failed else None
