# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3: receives fail, once or for good; batches come in pieces; the queue overflows; the driver goes."""
from harness import Session
from lab import expect, wait_until
from matrix import case
from scene import fault, script
from traffic import Transfer, await_failed, expect_running, stop_failed, until_spent

# What a receive may say without anything being over. 122 is a packet that found too small a buffer and is gone.
PASSING = (1, 5, 22, 87, 122, 592, 998, 1232, 1450, 1784)
QUICK = (122, 1450)


def receive_fails(code):
    @case(f"Recv fails with {code}, a few times", quick=code in QUICK)
    def failing(t):
        with t.redirected(level=5) as session:
            transfer = Transfer(t, session)
            for layer in ("network", "socket"):
                with fault(t, f"recv {code} 5 on {layer}"):
                    until_spent(t, session, "recv", transfer)
            t.expect_still_redirected(session)
            errors = session.stats()["receive_errors"]
            expect(errors >= 10, f"{errors} receive errors counted, 10 scripted")
            expect_running(t)
            line = t.logged("a receive from the driver failed", str(code))
        return f"nothing but the count receive_errors; log, at level debug: {line}"


for number in PASSING:
    receive_fails(number)


@case("Recv is cancelled (995), a few times")
def receive_cancelled(t):
    with t.redirected() as session:
        transfer = Transfer(t, session)
        for layer in ("network", "socket"):
            with fault(t, f"recv 995 5 on {layer}"):
                until_spent(t, session, "recv", transfer)
        t.expect_still_redirected(session)
        expect_running(t)
    return "nothing: it is asked for again"


def handle_dead(code, layer, quick=False):
    @case(f"Recv fails with {code} for good, at the {layer} layer", quick=quick)
    def dead(t):
        session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
        Transfer(t, session)
        with fault(t, f"recv {code} all on {layer}"):
            for _ in range(4):  # whatever becomes of them: each is an event, and two receives were under way before
                t.root.begin("connect", id=t.root.new_id(), to=t.echo().local)
            text = await_failed(t, "DRIVER_FAILED")
        t.expect_direct()
        line = t.logged("redirection has ended")
        return f"state FAILED: {text}; stop: {stop_failed(t, session)}; log: {line}"


for entry in ((22, "network", True), (22, "socket"), (1450, "network"), (232, "network"), (232, "socket"),
              (6, "network")):
    handle_dead(*entry)


@case("Recv returns one packet, though more are queued", quick=True)
def receive_in_pieces(t):
    with t.redirected() as session:
        transfer = Transfer(t, session)
        with fault(t, "recv-single"):
            wait_until(lambda: transfer.exchange() or t.lab.faults()["recv-single"]["struck"] > 20,
                       "more than one packet queued", 60)
        expect_running(t)
    return "nothing"


@case("the driver's queue overflows", quick=True)
def queue_overflows(t):
    t.expect_losses("lost_in_queue")
    with t.redirected() as session:
        transfer = Transfer(t, session)
        with fault(t, "queue 2"):
            wait_until(lambda: transfer.exchange(200_000) or t.lab.faults()["queue"]["struck"],
                       "packets lost", 60)
        t.expect_still_redirected(session)
    return "slower: TCP sends again what was lost; every byte is right"


@case("the driver is unloaded while in use", quick=True)
def unloaded(t):
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    Transfer(t, session)
    script(t, "unload")
    text = await_failed(t, "DRIVER_FAILED")
    t.expect_direct()
    line = t.logged("redirection has ended")
    return f"state FAILED: {text}; stop: {stop_failed(t, session)}; log: {line}"


@case("the driver is unloaded under load")
def unloaded_under_load(t):
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    pending = Transfer(t, session).begin(1 << 30)
    script(t, "unload")
    text = await_failed(t, "DRIVER_FAILED")
    for one in pending:
        answer = one.result(60, may_fail=True)
        expect("error" in answer and answer["error"] != "wrong byte", "how the tree's connection ended", answer)
    t.expect_direct()
    return f"state FAILED: {text}; its connections are reset; stop: {stop_failed(t, session)}"
