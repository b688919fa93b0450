# SPDX-License-Identifier: LGPL-3.0-or-later
"""Another program rewrites packets by WinDivert, above, below and beside us; packets of other drivers (Impostor)."""
from lab import expect, expect_equal, port_of
from matrix import case
from network import kernel_setting
from scene import fault
from scenarios.outgoing import exchange
from traffic import Transfer, expect_running, until_spent

REFUSED = 111  # ECONNREFUSED, of a native program
OURS = 817  # src/windows/divert.h; the packet handles take turns with 818, sending is at 816 (docs/troubleshooting.md)


def other_program(priority, what, opens_first, quick=False):
    """It leads connections for one port of the other host to another port, where the only server is: if anybody spoils
    what the other does, the connection does not come about."""
    @case(f"another program rewrites the same packets, {what}, {'opened first' if opens_first else 'opened later'}",
          quick=quick)
    def both(t):
        server, port = t.echo(), t.free_port()
        away = f"{t.server_host}/{port}"
        other = t.bystander
        begin = {"priority": priority, "from": port, "to": port_of(server.local)}
        if opens_first:
            other.call("rewrite", **begin)
        with t.redirected() as session:
            if not opens_first:
                other.call("rewrite", **begin)
            for _ in range(3):
                exchange(t.root.connect(away), 20_000)
            exchange(t.native.connect(away), 20_000)
            told = {r.get("destination") for r in session.proxied()}
            expect_running(t)
            t.expect_still_redirected(session)
            counts = other.call("rewrite_end")
        names = sorted("the port that was asked for" if d == away else "the port it was changed to" for d in told)
        seen = "redirected, the proxy is told " + ", ".join(names) if told else "not redirected: they pass directly"
        expect(counts["out"] > 0 and counts["in"] > 0, "the other program has rewritten nothing", counts)
        return f"connections work and are {seen}"


for entry in ((1000, "at higher priority"), (-1000, "at lower priority"), (OURS, "at the same priority")):
    if entry[0] != OURS:
        other_program(*entry, opens_first=True, quick=entry[0] == 1000)
    other_program(*entry, opens_first=False)


@case("another program rewrites the same packets, at the same priority, opened first")
def left_out(t):
    """Among equals the later is higher: the other one stands below our handles and above where we send, so what we take
    it never sees."""
    server, port = t.echo(), t.free_port()
    away = f"{t.server_host}/{port}"
    t.bystander.call("rewrite", priority=OURS, **{"from": port, "to": port_of(server.local)})
    with t.redirected() as session:
        answer = t.native.call("connect", id=t.native.new_id(), to=away, may_fail=True)
        expect_equal(answer.get("code"), REFUSED, f"connect to the port that only the other program serves ({answer})")
        t.expect_still_redirected(session)
        expect_running(t)
        t.bystander.call("rewrite_end")
    return "the other program does not see the first packets of connections: what it does to them does not happen"


@case("packets come from another driver (Impostor)", quick=True)
def impostors(t):
    with t.redirected() as session:
        transfer = Transfer(t, session)
        with fault(t, "impostor 20"):
            until_spent(t, session, "impostor", transfer)
        t.expect_still_redirected(session)
        expect_equal(session.stats()["send_errors"], 0, "send errors")
    return "nothing; the mark is kept, the driver counts the TTL down"


@case("packets come from another driver, with a TTL of 1", quick=True)
def worn_out_impostors(t):
    with kernel_setting("client", "net.ipv4.ip_default_ttl", "1"):
        with t.redirected() as session:
            transfer = Transfer(t, session)
            with fault(t, "impostor 5"):
                until_spent(t, session, "impostor", transfer)
            transfer.exchange()
            errors = session.stats()["send_errors"]
            expect(errors >= 1, "no packet's TTL was used up: the case shows nothing")
            expect_running(t)
    return f"the driver drops them, so that no loop lasts; count send_errors {errors}; TCP sends again"
