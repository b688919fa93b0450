# SPDX-License-Identifier: LGPL-3.0-or-later
"""S3: sends fail: for one packet of a batch, for the rest of it; TCP sends again, and every byte is right."""
from lab import expect
from matrix import case
from scene import fault
from traffic import Transfer, expect_running, until_spent

# 317 is what Wine makes of 1232 (the TTL of an impostor is used up).
CODES = (5, 22, 87, 122, 232, 317, 592, 998, 1168, 1214, 1231, 1232, 1450, 1784)
QUICK = (592,)


def send_fails(code):
    @case(f"Send fails with {code} for one packet of a batch", quick=code in QUICK)
    def failing(t):
        with t.redirected() as session:
            transfer = Transfer(t, session)
            with fault(t, f"send {code} 5"):
                until_spent(t, session, "send", transfer)
            return expect_counted(t, session)


def batch_cut(code):
    @case(f"Send fails with {code} in the middle of a batch, which ends there", quick=code == 1450)
    def cut(t):
        with t.redirected() as session:
            transfer = Transfer(t, session)
            with fault(t, f"send-cut {code} 5"):
                until_spent(t, session, "send-cut", transfer)
            return expect_counted(t, session)


def expect_counted(t, session):
    t.expect_still_redirected(session)
    errors = session.stats()["send_errors"]
    expect(errors >= 5, f"{errors} send errors counted, 5 scripted")
    expect_running(t)
    return f"a moment's wait, TCP sends again; count send_errors {errors}"


for number in CODES:
    send_fails(number)
for number in (87, 122, 1450):
    batch_cut(number)


@case("Send fails for every packet, for a while")
def nothing_leaves(t):
    with t.redirected() as session:
        transfer = Transfer(t, session)
        with fault(t, "send 592 all"):
            pending = transfer.begin()
            while session.stats()["send_errors"] < 4:
                pass
            expect_running(t)
        for one in pending:
            one.result(60)
        t.expect_still_redirected(session)
    return "the tree's connections stand still meanwhile; strangers' do not; then all go on"
