# SPDX-License-Identifier: LGPL-3.0-or-later
"""S5: the log cannot be written. Redirection does not depend on it. (A folder in the log's place, or a path that is a
link: tests/e2e/scenarios/service.py and tests/windows/test_log.c.)"""
import contextlib
import os
import shutil
import subprocess

from lab import expect, expect_equal, wait_until
from matrix import case
from traffic import expect_running

SIZE = 64 * 1024


@contextlib.contextmanager
def small_disk(t, options=""):
    """A disk of 64 KiB."""
    folder = os.path.join(t.lab.stage, t.world.name("disk"))
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}{options}", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Until nothing fits any more."""
    with contextlib.suppress(OSError), open(os.path.join(folder, "full"), "wb", buffering=0) as out:
        while True:
            out.write(bytes(512))


@case("the disk is full when the redirector starts", quick=True)
def full_at_start(t):
    with small_disk(t) as folder:
        fill(folder)
        log = os.path.join(folder, "log.txt")
        with t.redirected(log="Z:" + log) as session:
            t.expect_still_redirected(session)
            expect_running(t)
        expect_equal(os.path.getsize(log), 0, "bytes in the log")
    return "an empty log; redirection works"


@case("the disk becomes full while running", quick=True)
def full_while_running(t):
    with small_disk(t) as folder:
        log = os.path.join(folder, "log.txt")
        with t.redirected(log="Z:" + log) as session:
            t.expect_still_redirected(session)
            wait_until(lambda: os.path.getsize(log), "the log has begun")
            fill(folder)
            while os.path.getsize(log) % 4096:  # the page that the log already has is still its own
                size = os.path.getsize(log)
                t.expect_still_redirected(session, 1)
                t.world.close_connections()
                if size == os.path.getsize(log):
                    break
            t.expect_still_redirected(session)
            expect_running(t)
            os.unlink(os.path.join(folder, "full"))
            t.expect_still_redirected(session)
            t.world.close_connections()
            wait_until(lambda: session.stats()["flows_live"] == 0, "flows over", 20)
            lost = session.stats()["log_lines_dropped"]
        with open(log, encoding="utf-8") as text:
            lines = text.read().splitlines()
        expect("stopped:" in lines[-1], "the log goes on once there is room", lines[-1])
    return f"lines are missing ({lost} counted as lost); with room again the log goes on; redirection works"


@case("the disk is read-only", quick=True)
def read_only(t):
    with small_disk(t, ",ro") as folder:
        answer = t.agent.call("start", client=t.root.pid, proxy=8080, log="Z:" + os.path.join(folder, "log.txt"))
    expect_equal((answer["result"], answer["status_name"]), (0, "LOG_FAILED"), "start")
    expect("log.txt" in answer["text"], "the text names the file", answer["text"])
    text = answer["text"].split(": ")[0]
    return f"start: {answer['status_name']}, error {answer['os_error']}: {text}: (the path) ..."


@case("the log's folder is deleted while running")
def folder_deleted(t):
    folder = os.path.join(t.lab.stage, t.world.name("folder"))
    os.mkdir(folder)
    with t.redirected(log="Z:" + os.path.join(folder, "log.txt")) as session:
        t.expect_still_redirected(session)
        shutil.rmtree(folder)
        t.expect_still_redirected(session)
        expect_running(t)
    return "no log any more; redirection works"
