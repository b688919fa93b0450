# SPDX-License-Identifier: LGPL-3.0-or-later
"""Another program rewrites packets by WinDivert, above, below and beside us; packets of other drivers (Impostor)."""
from lab import expect, expect_equal, port_of
from matrix import case
from network import kernel_setting
from scene import fault
from scenarios.outgoing import exchange
from traffic import Transfer, expect_running, until_spent

OURS = 817  # src/windows/divert.h: what we take if nobody is there (docs/troubleshooting.md)


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


for entry in ((1000, "at higher priority"), (-1000, "at lower priority"), (OURS, "where we usually are")):
    other_program(*entry, opens_first=True, quick=entry[0] == 1000)
    other_program(*entry, opens_first=False)


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
