# SPDX-License-Identifier: LGPL-3.0-or-later
"""The redirector as a Python object."""
import contextlib
import ctypes
import enum
import ipaddress
import os
import threading
import weakref
from ctypes import byref, c_uint8, c_uint32, c_void_p
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type, Union

from . import _library as c

Address = Tuple[str, int]
# A peer as sockets tell of it: (host, port), or (host, port, flow information, scope).
Peer = Sequence[Any]
# (True, "curl.exe"), (False, 4711): include or exclude, a pattern or a process id; a third word is a pattern for who
# listens at the other end, on this machine, and then the second may be None.
Rule = Union[Tuple[bool, Union[str, int]], Tuple[bool, Union[str, int, None], str]]

FOREVER_MS = 0xFFFFFFFF


class Flags(enum.IntFlag):
    """redirector_config.flags; windows_redirector.h says what each does."""

    NONE = 0
    KEEP_FLOWS_ON_STOP = 1 << 0
    REFLECT = 1 << 1
    FAIL_CLOSED = 1 << 2
    DESCENDANTS_ONLY = 1 << 3
    UNLOAD_DRIVER = 1 << 4
    NO_LOOPBACK = 1 << 5
    CAPTURE_ALL = 1 << 6
    NO_FIREWALL_PERMIT = 1 << 7
    NO_PROOF = 1 << 8
    DEBUG_PRIVILEGE = 1 << 9
    SMALL_SEGMENTS = 1 << 10


class Decision(enum.IntEnum):
    """What becomes of a connection that waits."""

    ACCEPT = 1
    REFUSE = 2
    PASS = 3
    DROP = 4


KINDS = {0: "outgoing", 1: "incoming"}
STATES = {1: "opening", 2: "open", 3: "closing"}


class Destination(NamedTuple):
    """Where a redirected connection was going, and who opened it (incoming: who listens)."""

    host: str
    port: int
    pid: int
    incoming: bool
    connection_id: int


class Undecided(NamedTuple):
    """A connection whose program waits for a decision."""

    connection_id: int
    pid: int
    client: Address
    destination: Address


class Connection(NamedTuple):
    """A redirected connection."""

    pid: int
    kind: str  # "outgoing", "incoming"
    state: str  # "opening", "open", "closing"
    client: Address
    destination: Address
    peer: Address  # of the proxy
    bytes_up: int
    bytes_down: int
    packets_up: int
    packets_down: int
    opened_ms: int  # since 1970
    age_ms: int


def _number(name: str, value: int, bits: int = 32) -> int:
    """ctypes would cut off what does not fit: port 4294967376 would become 80."""
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} is {value}; it has to be 0 to {(1 << bits) - 1}")
    return value


def _numbers(name: str, values: Sequence[int]) -> Any:
    return (c_uint32 * len(values))(*(_number(name, value) for value in values))


def _text(name: str, value: Union[str, "os.PathLike[str]", None]) -> Optional[bytes]:
    """C would take a text with a NUL in it for a shorter one."""
    data = None if value is None else os.fspath(value).encode()
    if data is not None and b"\0" in data:
        raise ValueError(f"{name} has a NUL in it: {value!r}")
    return data


def _address_to_c(host: str, port: int, _flow_information: int = 0, scope: int = 0) -> c.redirector_address:
    host, _, zone = host.partition("%")
    ip: Any = ipaddress.ip_address(host)
    ip = getattr(ip, "ipv4_mapped", None) or ip  # the form of IPv4 peers of a dual-stack listener
    number = scope or (int(zone) if zone.isdigit() else 0)
    return c.redirector_address(family=ip.version, port=_number("a port", port, 16), bytes=(c_uint8 * 16)(*ip.packed),
                                scope=_number("a scope", number))


def _address_from_c(address: Any) -> Address:
    """The scope of a link-local address stands behind it, fe80::1%4, as connect() takes it."""
    packed = bytes(address.bytes)
    ip = str(ipaddress.ip_address(packed[:4] if address.family == 4 else packed))
    return f"{ip}%{address.scope}" if address.scope else ip, int(address.port)


def _rules_to_c(rules: Sequence[Rule]) -> Any:
    array = (c.redirector_rule * len(rules))()
    for rule, (include, what, *listener) in zip(array, rules):
        rule.include = int(include)
        if isinstance(what, int):
            rule.pid = _number("a rule's process", what)
        else:
            rule.pattern = _text("a rule's pattern", what)
        rule.listener = _text("a rule's listener", listener[0]) if listener else None
    return array


class _LogThread(threading.local):
    """Whether this thread is one of the library's, within a log function."""

    within = False


_log_thread = _LogThread()


def _log_function(log: Optional[Callable[[int, str], object]]) -> Any:
    if log is None:
        return c.NO_LOG_FUNCTION
    told = log

    def line(_context: Any, level: int, text: bytes) -> None:
        _log_thread.within = True
        try:
            told(level, text.decode(errors="replace"))
        finally:
            _log_thread.within = False
    return c.LogFunction(line)


class _Running:
    """The library's object, and who is within a call: it is freed when nobody is."""

    def __init__(self, library: ctypes.CDLL, handle: c_void_p, log_function: Any) -> None:
        self.library, self.handle = library, handle
        self.log_function = log_function  # must exist as long as the redirector
        self.idle = threading.Condition()
        self.calls, self.closed = 0, False

    @contextlib.contextmanager
    def entered(self) -> Iterator[Tuple[ctypes.CDLL, c_void_p]]:
        """Around each call."""
        with self.idle:
            if self.closed:
                raise c.Error("NOT_RUNNING", "this redirector is closed; start another")
            self.calls += 1
        try:
            yield self.library, self.handle
        finally:
            with self.idle:
                self.calls -= 1
                self.idle.notify_all()

    def close(self) -> None:
        with self.idle:
            if self.closed:
                return
            self.closed = True
        self.library.redirector_stop(self.handle)  # what waits comes back
        with self.idle:
            self.idle.wait_for(lambda: not self.calls)
        self.library.redirector_free(self.handle)

    def leave(self) -> None:
        """Nobody has it any more, or the interpreter ends. Freeing waits for the log's thread, which may be this one."""
        if _log_thread.within:
            threading.Thread(target=self.close).start()
        else:
            self.close()


class Redirector:
    """A running redirector; use it as a context manager, or call close(). Its calls may come from any thread.

    roots: process ids. proxy_port, incoming_port: where this process (or agent_pid) listens, on loopback. log: called
    with (level, line) on a thread of the library's. Raises Error; needs a process that runs as administrator.
    """

    def __init__(self, roots: Iterable[int], proxy_port: int = 0, incoming_port: int = 0, agent_pid: int = 0,
                 flags: int = 0, rules: Sequence[Rule] = (), windivert_dir: Union[str, "os.PathLike[str]"] = c.BIN,
                 log_path: Union[str, "os.PathLike[str]", None] = None, log: Optional[Callable[[int, str], object]] = None,
                 upstreams: Sequence[Peer] = (), decision_timeout_ms: int = 0, listen_ports: Sequence[int] = ()) -> None:
        library, pids = c.library(), list(roots)
        log_function = _log_function(log)
        config = c.redirector_config(
            proxy_port=_number("proxy_port", proxy_port), incoming_port=_number("incoming_port", incoming_port),
            agent_pid=_number("agent_pid", agent_pid), flags=_number("flags", int(flags)), roots=_numbers("a root", pids),
            root_count=len(pids), rules=_rules_to_c(rules), rule_count=len(rules), upstream_count=len(upstreams),
            upstreams=(c.redirector_address * len(upstreams))(*(_address_to_c(*address) for address in upstreams)),
            decision_timeout_ms=_number("decision_timeout_ms", decision_timeout_ms),
            listen_port_count=len(listen_ports), listen_ports=_numbers("a listen_port", listen_ports),
            windivert_dir=_text("windivert_dir", windivert_dir), log_fn=log_function, log_path=_text("log_path", log_path))
        handle, error = c_void_p(), c.redirector_error()
        c.check(library.redirector_start(byref(config), byref(handle), byref(error)), error.text.decode())
        self._running = _Running(library, handle, log_function)
        # Also when the interpreter ends: a log line must not call into one that is gone.
        self._close = weakref.finalize(self, self._running.leave)

    def __enter__(self) -> "Redirector":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __iter__(self) -> Iterator[Connection]:
        """Over the redirected connections that exist now."""
        return iter(self.connections())

    def close(self) -> None:
        """Stops it; calls of other threads that wait come back. A second time it does nothing. Not from the log function."""
        if _log_thread.within:
            raise c.Error("INVALID_ARGUMENT", "close() was called by the log function, for whose end it would wait for ever; "
                                              "call it on another thread")
        self._running.close()
        self._close.detach()

    def destination(self, peer: Peer) -> Optional[Destination]:
        """Original destination of a peer (host, port, ...) as the proxy sees it; None: not a redirected connection."""
        found = c.redirector_destination()
        with self._running.entered() as (library, handle):
            status = library.redirector_lookup(handle, byref(_address_to_c(*peer)), byref(found))
        if status == c.STATUS_NOT_FOUND:
            return None
        c.check(status)
        return Destination(*_address_from_c(found.destination), found.pid, bool(found.incoming), found.connection_id)

    def next_connection(self, timeout_ms: int = FOREVER_MS) -> Optional[Undecided]:
        """Waits for the next outgoing connection to decide about; None: there was none in time. Needs
        decision_timeout_ms."""
        found = c.redirector_connection()
        with self._running.entered() as (library, handle):
            status = library.redirector_next_connection(handle, byref(found), _number("timeout_ms", timeout_ms))
        if status == c.STATUS_NOT_FOUND:
            return None
        c.check(status)
        return Undecided(found.connection_id, found.pid, _address_from_c(found.client),
                         _address_from_c(found.destination))

    def decide(self, connection_id: int, decision: int) -> bool:
        """A Decision about what next_connection() told of. False: it does not wait for that any more."""
        with self._running.entered() as (library, handle):
            status = library.redirector_decide(handle, _number("connection_id", connection_id, 64),
                                                     _number("decision", int(decision)))
        if status != c.STATUS_NOT_FOUND:
            c.check(status)
        return bool(status == c.STATUS_OK)

    def forget(self, peer: Peer) -> bool:
        """Removes the mapping of a peer; its connection goes on. False: there was none."""
        with self._running.entered() as (library, handle):
            status = library.redirector_forget(handle, byref(_address_to_c(*peer)))
        if status != c.STATUS_NOT_FOUND:
            c.check(status)
        return bool(status == c.STATUS_OK)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replaces the rules."""
        with self._running.entered() as (library, handle):
            c.check(library.redirector_set_rules(handle, _rules_to_c(rules), len(rules)))

    def connections(self) -> List[Connection]:
        """The redirected connections that exist now."""
        total, room = c_uint32(16), 0
        while total.value > room:  # more may have begun since they were counted
            room = total.value + 16
            flows = (c.redirector_flow * room)()
            flows[0].size = ctypes.sizeof(c.redirector_flow)
            with self._running.entered() as (library, handle):
                c.check(library.redirector_list_flows(handle, flows, room, byref(total)))
        return [Connection(f.pid, KINDS[f.kind], STATES[f.state], _address_from_c(f.client),
                           _address_from_c(f.destination), _address_from_c(f.peer), f.bytes_up, f.bytes_down,
                           f.packets_up, f.packets_down, f.opened_ms, f.age_ms) for f in flows[:total.value]]

    def stats(self) -> Dict[str, int]:
        """The counters; windows_redirector.h says what each counts."""
        stats = c.redirector_stats()
        with self._running.entered() as (library, handle):
            c.check(library.redirector_get_stats(handle, byref(stats)))
        return {name: int(getattr(stats, name)) for name, *_ in stats._fields_ if name != "size"}

    def failure(self) -> Optional[str]:
        """Why redirection has ended by itself; None: it has not."""
        error = c.redirector_error()
        with self._running.entered() as (library, handle):
            failed = library.redirector_get_state(handle, byref(error)) == c.STATE_FAILED
        return str(error.text.decode()) if failed else None
