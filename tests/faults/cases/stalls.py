# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3, S2: the driver does not answer. What hangs in it may have to be left to it, but nobody waits for it."""
from harness import Session
from lab import expect, expect_equal, wait_until
from matrix import case
from scene import STOPPED, fault, script
from traffic import Transfer, await_failed, expect_running, stop_failed

QUEUE_SIZE = 33554432  # the last thing that is set when a handle is opened (src/windows/divert_open.c)


def await_queue(t):
    """Until packets wait that nobody is given."""
    wait_until(lambda: any(h["queue_count"] for h in t.lab.handles()), "packets that wait in the driver")


@case("Recv is not answered for a while")
def receive_late(t):
    with t.redirected() as session:
        transfer = Transfer(t, session)
        script(t, "stall-recv")
        pending = transfer.begin()
        await_queue(t)
        t.lab.ctl("fault", "clear")
        for one in pending:
            one.result(60)
        t.expect_still_redirected(session)
        expect_running(t)
    return "the tree's connections stand still meanwhile, then go on"


@case("Recv is not answered any more, then stop", quick=True)
def receive_never(t):
    """An engine without packets is at rest: nothing tells it from a driver that has none. Stop ends it all the same."""
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    Transfer(t, session)
    script(t, "stall-recv")
    connecting = t.root.begin("connect", id=t.root.new_id(), to=t.echo().local)
    await_queue(t)
    answer = t.agent.call("stop", limit=30)
    expect(answer["ms"] <= 1000, f"stop took {answer['ms']} ms")
    wait_until(lambda: t.lab.handles() == [], "the driver's handles closed")
    connecting.result(60)  # what waited in the queue left when the handle was closed
    t.lab.ctl("fault", "clear")
    t.agent.call("free")
    t.agent.call("proxy_close_all", limit=60)
    line = t.logged("did not run dry")
    return f"new connections wait until stop (status {answer['status']}, in time), then pass; log: {line}"


@case("Send is not answered any more", keeps=True, quick=True)
def send_never(t):
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    transfer = Transfer(t, session)
    with fault(t, "stall-send"):
        pending = transfer.begin()
        text = await_failed(t, "ENGINE_STALLED")
        t.expect_direct()
        result = stop_failed(t, session, (0, 22))
    for one in pending:
        one.result(60, may_fail=True)
    line = t.logged("redirection has ended")
    return f"the watchdog: state FAILED: {text}; stop: {result}; log: {line}"


@case("no other call is answered any more, then stop", keeps=True)
def control_never(t):
    """Shutdown hangs in stop, so the engine's thread does."""
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    Transfer(t, session)
    with fault(t, "stall-control"):
        answer = t.agent.call("stop", limit=30)
        expect(answer["ms"] <= 1000, f"stop took {answer['ms']} ms")
        wait_until(lambda: t.lab.handles() == [], "the driver's handles closed")
        expect_equal(t.agent.call("state")["state"], STOPPED, "state")
        t.expect_direct()
    t.agent.call("free", limit=30)
    t.agent.call("proxy_close_all", limit=60)
    return f"stop in time, status {answer['status']} (22: by force); all handles closed, traffic flows"


@case("Open is not answered while running", keeps=True)
def open_never(t):
    """The filter cannot be replaced: it is another thread that hangs."""
    with t.redirected() as session:
        transfer = Transfer(t, session)
        with fault(t, "stall-control"):
            connections = [t.root.begin("connect", id=t.root.new_id(), to=t.echo().local) for _ in range(3)]
            wait_until(lambda: transfer.exchange() or t.lab.faults()["stall-control"]["struck"],
                       "a call that hangs", 60)
            transfer.exchange()
            expect_running(t)
        for one in connections:
            one.result(60)
        t.expect_still_redirected(session)
    return "known connections go on; new ones may wait until it answers"


@case("the driver answers nothing at all", keeps=True)
def nothing_answered(t):
    session = Session(t.world, t.agent, t.root, log="Z:" + t.log, level=4)
    transfer = Transfer(t, session)
    for words in ("stall-control", "stall-send", "stall-recv"):
        script(t, words)
    pending = transfer.begin()
    answer = t.agent.call("stop", limit=30)
    expect(answer["ms"] <= 1000, f"stop took {answer['ms']} ms")
    # A filter may just be being replaced: the handle that Open has not returned yet is nobody's to close.
    wait_until(lambda: not [h for h in t.lab.handles() if h["queue_size"] == QUEUE_SIZE], "the driver's handles closed")
    t.expect_direct()
    t.agent.call("free", limit=30)
    t.lab.ctl("fault", "clear")
    wait_until(lambda: t.lab.handles() == [], "no handle open once the driver answers")
    for one in pending:
        one.result(60, may_fail=True)
    t.agent.call("proxy_close_all", limit=60)
    return f"stop in time, status {answer['status']} (22: by force); all handles closed, traffic flows"
