# SPDX-License-Identifier: LGPL-3.0-or-later
"""Rules about connections."""
import enum
import ipaddress
from ctypes import byref, c_uint8, sizeof
from typing import Any, NamedTuple, Optional, Sequence, Tuple, Union

from . import _library as c
from ._convert import Peer, Protocol, address_to_c, number, text


class Action(enum.IntEnum):
    """What becomes of the connections that a rule matches."""

    PASS = 0
    REDIRECT = 1
    BLOCK = 2


class Direction(enum.IntEnum):
    """Who opened a connection: a process, or somebody who came to a listener of it."""

    OUTGOING = 1
    INCOMING = 2


Network = Union[str, ipaddress.IPv4Network, ipaddress.IPv6Network, ipaddress.IPv4Address, ipaddress.IPv6Address]


class Rule(NamedTuple):
    """Whose connections, to where, and what becomes of them. All that it names must match, the last rule that matches
    decides, and windows_redirector.h has the rest. Rule(Action.REDIRECT, "curl.exe"), Rule(Action.PASS, 4711),
    Rule(Action.BLOCK, network="192.0.2.0/24", ports=443)."""

    action: Union[Action, bool] = Action.PASS  # True is REDIRECT, False is PASS
    program: Union[str, int, None] = None  # a pattern of its name or path, or a process id
    listener: Optional[str] = None  # a pattern for who listens at the other end, on this machine
    host: Optional[str] = None  # a pattern of the other end's name, as tell_name() has told it
    protocol: Optional[Protocol] = None
    direction: Optional[Direction] = None
    network: Optional[Network] = None  # that the other end's address is in
    ports: Union[int, Tuple[int, int], None] = None  # that the connection goes to: one, or the first and the last
    upstream: int = 0  # any number of yours: Destination.upstream


# Also the words of a Rule, as a tuple: (True, "curl.exe"), (False, 4711), (False, None, "guard.exe").
RuleLike = Union[Rule, Tuple[bool, Union[str, int]], Tuple[bool, Union[str, int, None], str]]


class Verdict(NamedTuple):
    """What rules say of a connection."""

    action: Action
    rule: Optional[int]  # index of the rule that has decided; None: the tree alone
    upstream: int  # of that rule


def _network_to_c(rule: c.redirector_rule, given: Network) -> None:
    network: Any = ipaddress.ip_network(str(given))
    address, length = network.network_address, network.prefixlen
    if getattr(address, "ipv4_mapped", None) is not None:
        if length < 96:
            raise ValueError(f"{network} is neither a network of IPv4 nor one of IPv6")
        address, length = address.ipv4_mapped, length - 96
    rule.family, rule.prefix_length = address.version, length
    rule.network = (c_uint8 * 16)(*address.packed)


def _rule_to_c(out: c.redirector_rule, rule: Rule) -> None:
    out.size = sizeof(out)
    out.action = number("an action", int(rule.action))
    if isinstance(rule.program, int):
        out.pid = number("a rule's process", rule.program)
    else:
        out.pattern = text("a rule's pattern", rule.program)
    out.listener, out.host = text("a rule's listener", rule.listener), text("a rule's host", rule.host)
    out.protocol, out.direction = number("a protocol", int(rule.protocol or 0)), number("a direction", int(rule.direction or 0))
    if rule.network is not None:
        _network_to_c(out, rule.network)
    if rule.ports is not None:
        first, last = (rule.ports, rule.ports) if isinstance(rule.ports, int) else rule.ports
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"a rule's ports are {first} to {last}; they have to be in 1 to 65535, the first one first")
        out.first_port, out.last_port = first, last
    out.upstream = number("an upstream", rule.upstream)


def rules_to_c(rules: Sequence[RuleLike]) -> Any:
    array = (c.redirector_rule * len(rules))()
    for index, rule in enumerate(rules):
        try:
            _rule_to_c(array[index], Rule(*rule))
        except (TypeError, ValueError) as error:
            raise type(error)(f"rule {index}: {error}") from None
    return array


def test_rules(rules: Sequence[RuleLike], address: Peer, program: Optional[str] = None, pid: int = 0, in_tree: bool = True,
               protocol: Protocol = Protocol.TCP, direction: Direction = Direction.OUTGOING, listener: Optional[str] = None,
               host: Optional[str] = None) -> Verdict:
    """What rules would make of a connection, by the code that redirects: to an address (host, port), of the program with this
    path, which belongs to the tree or not. It needs no administrator. listener: the path of who listens there, on this
    machine. host: the name of that address. What is never redirected, such as the agent's own, is not known to it."""
    connection = c.redirector_rule_case(
        in_tree=int(in_tree), pid=number("pid", pid), protocol=number("a protocol", int(protocol)),
        direction=number("a direction", int(direction)), address=address_to_c(*address), program=text("a program", program),
        listener=text("a listener", listener), host=text("a host", host))
    verdict, error = c.redirector_rule_verdict(), c.redirector_error()
    c.check(c.library().redirector_test_rules(rules_to_c(rules), len(rules), byref(connection), byref(verdict), byref(error)),
            error.text.decode())
    return Verdict(Action(verdict.action), None if verdict.rule == c.NO_RULE else verdict.rule, verdict.upstream)
