# SPDX-License-Identifier: LGPL-3.0-or-later
"""windows_redirector.dll by ctypes: its structures, field by field, and its calls, as windows_redirector.h has them."""
import ctypes
import pathlib
import struct
import sys
from ctypes import POINTER, c_char, c_char_p, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Optional, Union

HERE = pathlib.Path(__file__).resolve().parent
BIN = HERE / "bin"  # windows_redirector.dll, redirector.exe, WinDivert.dll and WinDivert64.sys

STATUS_OK, STATUS_NOT_FOUND = 0, 8
STATE_FAILED = 3
NO_RULE = 0xFFFFFFFF

LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_char_p)
NO_LOG_FUNCTION: Any = LogFunction()  # type: ignore[call-overload]


class Structure(ctypes.Structure):
    """A structure that begins with its size."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.size = ctypes.sizeof(self)


class redirector_error(Structure):
    _fields_ = [("size", c_uint32), ("code", c_uint32), ("os_error", c_uint32), ("text", c_char * 324)]


class redirector_rule(Structure):
    _fields_ = [("size", c_uint32), ("action", c_uint32), ("pid", c_uint32), ("direction", c_uint32), ("pattern", c_char_p),
                ("listener", c_char_p), ("host", c_char_p), ("protocol", c_uint32), ("first_port", c_uint32),
                ("last_port", c_uint32), ("family", c_uint32), ("prefix_length", c_uint32), ("network", c_uint8 * 16),
                ("upstream", c_uint32)]


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
                ("listen_ports", POINTER(c_uint32)), ("udp_port", c_uint32), ("udp_idle_ms", c_uint32)]


class redirector_destination(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("incoming", c_uint32), ("protocol", c_uint32),
                ("destination", redirector_address), ("connection_id", c_uint64), ("upstream", c_uint32), ("reserved", c_uint32)]


class redirector_connection(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("connection_id", c_uint64), ("client", redirector_address),
                ("destination", redirector_address), ("upstream", c_uint32), ("reserved", c_uint32)]


class redirector_rule_case(Structure):
    _fields_ = [("size", c_uint32), ("in_tree", c_uint32), ("pid", c_uint32), ("protocol", c_uint32),
                ("direction", c_uint32), ("address", redirector_address), ("program", c_char_p), ("listener", c_char_p),
                ("host", c_char_p)]


class redirector_rule_verdict(Structure):
    _fields_ = [("size", c_uint32), ("action", c_uint32), ("rule", c_uint32), ("upstream", c_uint32)]


class redirector_flow(Structure):
    _fields_ = [("size", c_uint32), ("pid", c_uint32), ("kind", c_uint32), ("state", c_uint32),
                ("client", redirector_address), ("destination", redirector_address), ("peer", redirector_address),
                ("protocol", c_uint32), ("bytes_up", c_uint64), ("bytes_down", c_uint64), ("packets_up", c_uint64),
                ("packets_down", c_uint64), ("opened_ms", c_uint64), ("age_ms", c_uint64)]


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
            "large_segments udp_flows_live udp_flows_total udp_table_full udp_packets_seen udp_packets_passed "
            "udp_packets_rewritten udp_packets_held udp_packets_dropped udp_packets_malformed udp_proxy_not_listening "
            "udp_hold_timeouts udp_hold_overflows udp_fragments_passed udp_errors_translated udp_uncaptured "
            "connections_blocked udp_packets_blocked").split()]


STRUCTURES = (redirector_error, redirector_rule, redirector_config, redirector_address, redirector_destination,
              redirector_connection, redirector_rule_case, redirector_rule_verdict, redirector_flow, redirector_stats)

PROTOTYPES = {
    "redirector_start": (c_uint32, [POINTER(redirector_config), POINTER(c_void_p), POINTER(redirector_error)]),
    "redirector_stop": (c_uint32, [c_void_p]),
    "redirector_free": (None, [c_void_p]),
    "redirector_get_state": (c_uint32, [c_void_p, POINTER(redirector_error)]),
    "redirector_lookup": (c_uint32, [c_void_p, POINTER(redirector_address), POINTER(redirector_destination)]),
    "redirector_udp_unreachable": (c_uint32, [c_void_p, POINTER(redirector_address)]),
    "redirector_forget": (c_uint32, [c_void_p, POINTER(redirector_address)]),
    "redirector_next_connection": (c_uint32, [c_void_p, POINTER(redirector_connection), c_uint32]),
    "redirector_decide": (c_uint32, [c_void_p, c_uint64, c_uint32]),
    "redirector_set_rules": (c_uint32, [c_void_p, POINTER(redirector_rule), c_uint32, POINTER(redirector_error)]),
    "redirector_test_rules": (c_uint32, [POINTER(redirector_rule), c_uint32, POINTER(redirector_rule_case),
                                         POINTER(redirector_rule_verdict), POINTER(redirector_error)]),
    "redirector_tell_name": (c_uint32, [c_void_p, POINTER(redirector_address), c_char_p]),
    "redirector_list_flows": (c_uint32, [c_void_p, POINTER(redirector_flow), c_uint32, POINTER(c_uint32)]),
    "redirector_get_stats": (c_uint32, [c_void_p, POINTER(redirector_stats)]),
    "redirector_status_name": (c_char_p, [c_uint32]),
    "redirector_version": (c_char_p, []),
}


class Error(Exception):
    """An error of the library: what happened and what to do. `name` is its status, NOT_ELEVATED for instance."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text or name)
        self.name = name


_library: Optional[ctypes.CDLL] = None


def load(path: Union[str, pathlib.Path, None] = None) -> ctypes.CDLL:
    """Loads the library from another place than this package's; once, and before anything else is called."""
    global _library
    if struct.calcsize("P") != 8:
        raise Error("NOT_SUPPORTED", "this is a 32-bit Python; windows_redirector.dll is for a 64-bit one (x64)")
    if path is None:
        path = BIN / "windows_redirector.dll"
        if sys.platform != "win32":
            raise Error("NOT_SUPPORTED", f"connections are redirected on Windows only; this is {sys.platform}")
    try:
        library = ctypes.CDLL(str(path))  # by its full path; it needs no DLL but Windows' own
    except OSError as error:
        raise Error("DLL_NOT_FOUND", f"{path} cannot be loaded: {error}. Install the package anew; a Python for ARM64 "
                                     "cannot load it, one for x64 can") from None
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    _library = library
    return library


def library() -> ctypes.CDLL:
    """The loaded library."""
    return _library if _library is not None else load()


def check(status: int, text: str = "") -> None:
    if status != STATUS_OK:
        raise Error(library().redirector_status_name(status).decode(), text)
