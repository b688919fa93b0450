# SPDX-License-Identifier: LGPL-3.0-or-later
"""S1: WinDivertOpen fails, in every way that it can; and the DLL is not what it should be."""
import os
import re
import shutil

from lab import ROOT, expect, expect_equal, wait_until
from matrix import case
from scene import RUNNING, fault
from scenarios.outgoing import connect_and_check, exchange

# Windows' error, what start says, a word of its text that tells the user what to do.
CODES = (
    (2, "DRIVER_NOT_FOUND", "sc stop WinDivert"),
    (3, "DRIVER_NOT_FOUND", "sc stop WinDivert"),
    (5, "NOT_ELEVATED", "Administrator"),
    (8, "NO_MEMORY", "memory"),
    (14, "NO_MEMORY", "memory"),
    (22, "DRIVER_FAILED", "error"),
    (87, "INTERNAL", "report"),
    (110, "DRIVER_SERVICE", "sc stop WinDivert"),
    (122, "DRIVER_FAILED", "error"),
    (225, "DRIVER_BLOCKED", "antivirus"),
    (226, "DRIVER_BLOCKED", "antivirus"),
    (577, "DRIVER_SIGNATURE", "original"),
    (654, "DRIVER_CONFLICT", "another version"),
    (995, "DRIVER_FAILED", "error"),
    (998, "DRIVER_FAILED", "error"),
    (1053, "DRIVER_SERVICE", "sc stop WinDivert"),
    (1058, "DRIVER_SERVICE", "sc stop WinDivert"),
    (1060, "DRIVER_SERVICE", "sc stop WinDivert"),
    (1072, "DRIVER_SERVICE", "sc stop WinDivert"),
    (1260, "DRIVER_BLOCKED", "policy"),
    (1275, "DRIVER_BLOCKED", "policy"),
    (1450, "NO_MEMORY", "memory"),
    (1753, "BFE_NOT_RUNNING", "sc start BFE"),
    (4551, "DRIVER_BLOCKED", "policy"),
)
LOADER = os.path.join(ROOT, "src", "windows", "divert_load.c")
QUICK = (5, 577, 1275, 1753)


def expect_refused(t, status, word, **config):
    answer = t.agent.call("start", limit=60, client=t.root.pid, proxy=8080, log="Z:" + t.log, level=4, **config)
    expect_equal((answer["result"], answer["status_name"]), (0, status), f"start ({answer['text']})")
    expect(word in answer["text"], f"the text does not say {word!r}", answer["text"])
    wait_until(lambda: t.lab.handles() == [], "driver handles closed after a failed start")
    t.logged("start failed")
    return f"start: {status}, error {answer['os_error']}: {answer['text']}"


def use_up(t, name):
    """New connections, each of them right, until the fault has struck as often as it should."""
    def connect():
        exchange(t.root.connect(t.echo().local))
        return not t.lab.faults()[name]["left"]
    wait_until(connect, f"the fault {name} has struck", 60)


def opening_fails(code, status, word):
    @case(f"Open fails with {code}", quick=code in QUICK)
    def opening(t):
        # Once absent (1060) is only asked without installing: the second try, with it, has to fail as well.
        for layer in ("socket", "network"):
            with fault(t, f"open {code} all on {layer}"):
                sees = expect_refused(t, status, word)
        return sees


for entry in CODES:
    opening_fails(*entry)


@case("Open fails while running: the filter cannot be replaced", quick=True)
def filter_not_replaced(t):
    with t.redirected() as session:
        with fault(t, "open 1450 3 on network"):
            use_up(t, "open")
        connect_and_check(t, t.root, session)
        line = t.logged("filter could not be replaced")
        expect_equal(t.agent.call("state")["state"], RUNNING, "state")
    return f"runs on, all connections right; log: {line}"


@case("Open takes its time")
def opening_is_slow(t):
    with fault(t, "open-late 1500 2"):
        with t.redirected() as session:
            connect_and_check(t, t.root, session)
    return "start takes so much longer, and works"


@case("Open takes its time while running")
def replacing_is_slow(t):
    with t.redirected() as session:
        with fault(t, "open-late 700 2 on network"):
            use_up(t, "open-late")
        t.expect_still_redirected(session)
    return "a new connection may wait for its filter; all are right"


def dll_folder(t, name, source):
    folder = os.path.join(t.lab.stage, name)
    os.makedirs(folder, exist_ok=True)
    if source:
        shutil.copy(source, os.path.join(folder, "WinDivert.dll"))
    return name


@case("WinDivert.dll is missing")
def dll_missing(t):
    return expect_refused(t, "DLL_NOT_FOUND", "put WinDivert.dll", dir=dll_folder(t, "none", None))


def dll_lacks(export):
    @case(f"WinDivert.dll lacks {export}", quick=export == "WinDivertRecvEx")
    def lacking(t):
        source = os.path.join(t.lab.stage, "dlls", export + ".dll")
        return expect_refused(t, "DLL_VERSION", f"it has no {export}", dir=dll_folder(t, export, source))


def exports_needed():
    """As the library lists them."""
    with open(LOADER, encoding="utf-8") as text:
        names = re.findall(r'^ *\{"(WinDivert\w+)", ', text.read(), re.MULTILINE)
    expect("WinDivertOpen" in names, f"{LOADER} does not list the exports as it did")
    return names


for name in exports_needed():
    dll_lacks(name)


@case("WinDivert.dll is no DLL")
def dll_is_text(t):
    text = os.path.join(t.lab.stage, "text")
    os.makedirs(text, exist_ok=True)
    with open(os.path.join(text, "WinDivert.dll"), "w", encoding="ascii") as out:
        out.write("not a DLL\n")
    return expect_refused(t, "DLL_VERSION", "use the files of WinDivert 2.2.2", dir="text")
