# SPDX-License-Identifier: LGPL-3.0-or-later
"""The redirector as a Python object."""
import contextlib
import ctypes
import enum
import os
import threading
import weakref
from ctypes import byref, c_uint32, c_void_p
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type, Union

from . import _library as c
from ._convert import Address, Peer, Protocol, address_from_c, address_to_c, number, numbers, text
from ._rules import RuleLike, rules_to_c

FOREVER_MS = 0xFFFFFFFF
LONGEST_NAME = 253


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
    """Where a redirected connection or datagram was going, and who opened it (incoming: who listens)."""

    host: str
    port: int
    pid: int
    incoming: bool
    connection_id: int
    upstream: int = 0  # of the rule that has redirected it; 0: none has


class Undecided(NamedTuple):
    """A connection whose program waits for a decision."""

    connection_id: int
    pid: int
    client: Address
    destination: Address
    upstream: int = 0  # of the rule that has it redirected; 0: none has


class Connection(NamedTuple):
    """A redirected connection, or UDP flow: what one socket sends to one destination, and the answers."""

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
    protocol: Protocol


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

    roots: process ids. proxy_port, incoming_port: where this process (or agent_pid) listens, on loopback; udp_port: where it
    receives datagrams. log: called with (level, line) on a thread of the library's. Raises Error; needs a process that runs
    as administrator.
    """

    def __init__(self, roots: Iterable[int], proxy_port: int = 0, incoming_port: int = 0, agent_pid: int = 0,
                 flags: int = 0, rules: Sequence[RuleLike] = (), windivert_dir: Union[str, "os.PathLike[str]"] = c.BIN,
                 log_path: Union[str, "os.PathLike[str]", None] = None, log: Optional[Callable[[int, str], object]] = None,
                 upstreams: Sequence[Peer] = (), decision_timeout_ms: int = 0, listen_ports: Sequence[int] = (),
                 udp_port: int = 0, udp_idle_ms: int = 0) -> None:
        library, pids = c.library(), list(roots)
        log_function = _log_function(log)
        config = c.redirector_config(
            proxy_port=number("proxy_port", proxy_port), incoming_port=number("incoming_port", incoming_port),
            agent_pid=number("agent_pid", agent_pid), flags=number("flags", int(flags)), roots=numbers("a root", pids),
            root_count=len(pids), rules=rules_to_c(rules), rule_count=len(rules), upstream_count=len(upstreams),
            upstreams=(c.redirector_address * len(upstreams))(*(address_to_c(*address) for address in upstreams)),
            decision_timeout_ms=number("decision_timeout_ms", decision_timeout_ms),
            listen_port_count=len(listen_ports), listen_ports=numbers("a listen_port", listen_ports),
            udp_port=number("udp_port", udp_port), udp_idle_ms=number("udp_idle_ms", udp_idle_ms),
            windivert_dir=text("windivert_dir", windivert_dir), log_fn=log_function, log_path=text("log_path", log_path))
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

    def destination(self, peer: Peer, protocol: Protocol = Protocol.TCP) -> Optional[Destination]:
        """Original destination of a peer (host, port, ...) as the proxy sees it; None: not a redirected connection. With
        Protocol.UDP, that of a datagram by the address that it came from."""
        found = c.redirector_destination(protocol=number("a protocol", int(protocol)))
        with self._running.entered() as (library, handle):
            status = library.redirector_lookup(handle, byref(address_to_c(*peer)), byref(found))
        if status == c.STATUS_NOT_FOUND:
            return None
        c.check(status)
        return Destination(*address_from_c(found.destination), found.pid, bool(found.incoming), found.connection_id,
                           found.upstream)

    def unreachable(self, peer: Peer) -> bool:
        """Tells the program that sent datagrams from this peer that nobody listens at their destination, as from there. False:
        no UDP flow has this peer."""
        with self._running.entered() as (library, handle):
            status = library.redirector_udp_unreachable(handle, byref(address_to_c(*peer)))
        return self._found(status)

    @staticmethod
    def _found(status: int) -> bool:
        """The result of a call for which "not found" is an answer."""
        if status != c.STATUS_NOT_FOUND:
            c.check(status)
        return status == c.STATUS_OK

    def next_connection(self, timeout_ms: int = FOREVER_MS) -> Optional[Undecided]:
        """Waits for the next outgoing connection to decide about; None: there was none in time. Needs
        decision_timeout_ms."""
        found = c.redirector_connection()
        with self._running.entered() as (library, handle):
            status = library.redirector_next_connection(handle, byref(found), number("timeout_ms", timeout_ms))
        if status == c.STATUS_NOT_FOUND:
            return None
        c.check(status)
        return Undecided(found.connection_id, found.pid, address_from_c(found.client),
                         address_from_c(found.destination), found.upstream)

    def decide(self, connection_id: int, decision: int) -> bool:
        """A Decision about what next_connection() told of. False: it does not wait for that any more."""
        with self._running.entered() as (library, handle):
            status = library.redirector_decide(handle, number("connection_id", connection_id, 64),
                                                     number("decision", int(decision)))
        return self._found(status)

    def forget(self, peer: Peer) -> bool:
        """Removes the mapping of a peer; its connection goes on. False: there was none."""
        with self._running.entered() as (library, handle):
            status = library.redirector_forget(handle, byref(address_to_c(*peer)))
        return self._found(status)

    def set_rules(self, rules: Sequence[RuleLike]) -> None:
        """Replaces the rules. An error says which rule is not right, and why; then the former rules stay."""
        error = c.redirector_error()
        with self._running.entered() as (library, handle):
            c.check(library.redirector_set_rules(handle, rules_to_c(rules), len(rules), byref(error)), error.text.decode())

    def tell_name(self, host: str, name: str) -> None:
        """Tells under which name an address was looked up, for rules that name a host: before the program gets the DNS's
        answer. Names are never guessed."""
        told = text("a name", name[:-1] if name.endswith(".") else name) or b""
        if not 1 <= len(told) <= LONGEST_NAME:
            raise ValueError(f"a name is {name!r}; it has to have 1 to {LONGEST_NAME} bytes")
        with self._running.entered() as (library, handle):
            c.check(library.redirector_tell_name(handle, byref(address_to_c(host, 0)), told))

    def connections(self) -> List[Connection]:
        """The redirected connections that exist now."""
        total, room = c_uint32(16), 0
        while total.value > room:  # more may have begun since they were counted
            room = total.value + 16
            flows = (c.redirector_flow * room)()
            flows[0].size = ctypes.sizeof(c.redirector_flow)
            with self._running.entered() as (library, handle):
                c.check(library.redirector_list_flows(handle, flows, room, byref(total)))
        return [Connection(f.pid, KINDS[f.kind], STATES[f.state], address_from_c(f.client),
                           address_from_c(f.destination), address_from_c(f.peer), f.bytes_up, f.bytes_down,
                           f.packets_up, f.packets_down, f.opened_ms, f.age_ms, Protocol(f.protocol)) for f in flows[:total.value]]

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
