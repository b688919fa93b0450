# SPDX-License-Identifier: LGPL-3.0-or-later
"""Scenarios shared out among labs that run side by side, each with a process of its own."""
import contextlib
import os
import shutil

import harness
from lab import LabError, forked, share, speaker, take


def work(scenarios, lab, queue, answers):
    """A process with a lab of its own."""
    os.environ["LAB"] = lab
    say = speaker(answers)
    runner = harness.Runner(lambda *result: say("result", *result))
    try:
        runner.run(scenarios[number] for number in take(queue))
    except LabError as error:
        runner.record((), "the lab", f"it cannot be had: {error}")
    for words in runner.unsteady:
        say("unsteady", *words)
    say("end")


def run(scenarios, labs, report):
    """Runs scenarios. Returns (rules, name, why or None, seconds) of each, and (name, why) of those that failed once only."""
    shutil.rmtree(harness.FAILED, ignore_errors=True)
    name = os.environ["LAB"]
    starts = [forked(work, scenarios, name if labs == 1 else f"{name}-{number}") for number in range(1, labs + 1)]
    results, unsteady = [], []
    with contextlib.closing(share(range(len(scenarios)), starts)) as said:
        for kind, *words in said:
            if kind == "gone":
                kind, words = "result", ((), "the lab", "the process that ran it has died", 0)
            if kind == "unsteady":
                unsteady.append(words)
            if kind == "result":
                results.append(words)
                report(*words)
    return results, unsteady
