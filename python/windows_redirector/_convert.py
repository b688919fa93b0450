# SPDX-License-Identifier: LGPL-3.0-or-later
"""Between Python's values and those of the library."""
import enum
import ipaddress
import os
from ctypes import c_uint8, c_uint32
from typing import Any, Optional, Sequence, Tuple, Union

from . import _library as c

Address = Tuple[str, int]
# A peer as sockets tell of it: (host, port), or (host, port, flow information, scope).
Peer = Sequence[Any]


class Protocol(enum.IntEnum):
    """What a peer speaks: a port of one is not a port of the other."""

    TCP = 6
    UDP = 17


def number(name: str, value: int, bits: int = 32) -> int:
    """ctypes would cut off what does not fit: port 4294967376 would become 80."""
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} is {value}; it has to be 0 to {(1 << bits) - 1}")
    return value


def numbers(name: str, values: Sequence[int]) -> Any:
    return (c_uint32 * len(values))(*(number(name, value) for value in values))


def text(name: str, value: Union[str, "os.PathLike[str]", None]) -> Optional[bytes]:
    """C would take a text with a NUL in it for a shorter one."""
    data = None if value is None else os.fspath(value).encode()
    if data is not None and b"\0" in data:
        raise ValueError(f"{name} has a NUL in it: {value!r}")
    return data


def address_to_c(host: str, port: int, _flow_information: int = 0, scope: int = 0) -> c.redirector_address:
    host, _, zone = host.partition("%")
    ip: Any = ipaddress.ip_address(host)
    ip = getattr(ip, "ipv4_mapped", None) or ip  # the form of IPv4 peers of a dual-stack listener
    index = scope or (int(zone) if zone.isdigit() else 0)
    return c.redirector_address(family=ip.version, port=number("a port", port, 16), bytes=(c_uint8 * 16)(*ip.packed),
                                scope=number("a scope", index))


def address_from_c(address: Any) -> Address:
    """The scope of a link-local address stands behind it, fe80::1%4, as connect() takes it."""
    packed = bytes(address.bytes)
    ip = str(ipaddress.ip_address(packed[:4] if address.family == 4 else packed))
    return f"{ip}%{address.scope}" if address.scope else ip, int(address.port)
