# SPDX-License-Identifier: LGPL-3.0-or-later
"""Scenarios shared out among labs that run side by side, each with a process of its own."""
import contextlib
import os
import shutil

import harness
from lab import LabError, forked, share, speaker, take


def work(scenarios, lab, failed, queue, answers):
    """A process with a lab of its own. `failed`: {name: why} of scenarios that have failed; None: whatever fails is told, and
    run again later."""
    os.environ["LAB"] = lab
    say = speaker(answers)
    runner = harness.Runner(lambda *result: say("result", *result), failed,
                            postpone=(lambda *words: say("again", *words)) if failed is None else None)
    try:
        runner.run(scenarios[number] for number in take(queue))
    except LabError as error:
        runner.record((), "the lab", f"it cannot be had: {error}")
    for words in runner.unsteady:
        say("unsteady", *words)
    say("end")


def run(scenarios, labs, report):
    """Runs scenarios. Returns (rules, name, why or None, seconds) of each, and (name, why) of those that failed once only.
    Those that fail are run again when all others are done, with nothing beside them."""
    shutil.rmtree(harness.FAILED, ignore_errors=True)
    name = os.environ["LAB"]
    names = [name] if labs == 1 else [f"{name}-{number}" for number in range(1, labs + 1)]
    failed = {}
    results, unsteady = run_in(names, scenarios, None, report, failed)
    again = [s for s in scenarios if s.name in failed]
    more, unsteady = run_in(names[:1], again, failed, report, {}) if again else ([], unsteady)
    return results + more, unsteady


def run_in(names, scenarios, failed, report, fail):
    """Runs scenarios in labs of these names; adds to `fail` which ones are to be run again, and why."""
    starts = [forked(work, scenarios, name, failed) for name in names]
    results, unsteady = [], []
    with contextlib.closing(share(range(len(scenarios)), starts)) as said:
        for kind, *words in said:
            if kind == "gone":
                kind, words = "result", ((), "the lab", "the process that ran it has died", 0)
            if kind == "again":
                fail[words[0]] = words[1]
            if kind == "unsteady":
                unsteady.append(words)
            if kind == "result":
                results.append(words)
                report(*words)
    return results, unsteady
