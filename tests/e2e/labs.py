# SPDX-License-Identifier: LGPL-3.0-or-later
"""Scenarios shared out among labs that run side by side, each with a process of its own.

The numbers of the scenarios stand in a pipe, from which each process takes the next when it is done with one. What a
scenario came to goes back by another pipe, a line of JSON each, whose end is the process's end.
"""
import json
import multiprocessing
import os
import shutil
import struct
import threading
from queue import SimpleQueue

import harness
from lab import LabError

NUMBER = struct.Struct("=H")


def take(queue):
    """The numbers that this process gets. A read of a pipe is one piece, and so is a number."""
    while number := os.read(queue, NUMBER.size):
        yield NUMBER.unpack(number)[0]


def work(scenarios, queue, answers):
    """A process with a lab of its own."""
    with open(answers, "w", encoding="utf-8") as out:
        def say(kind, *words):
            print(json.dumps([kind, *words]), file=out, flush=True)

        runner = harness.Runner(lambda *result: say("result", *result))
        try:
            runner.run(scenarios[number] for number in take(queue))
        except LabError as error:
            runner.record((), "the lab", f"it cannot be had: {error}")
        for words in runner.unsteady:
            say("unsteady", *words)
        say("end")


def start(scenarios, queue, lab):
    """(process, file of its answers)"""
    answers, theirs = os.pipe()
    before = os.environ["LAB"]
    os.environ["LAB"] = lab
    process = multiprocessing.get_context("fork").Process(target=work, args=(scenarios, queue, theirs))
    process.start()
    os.environ["LAB"] = before
    os.close(theirs)
    return process, os.fdopen(answers, encoding="utf-8")


def listen(file, inbox):
    """Passes on what a process says; if it ends without "end", "gone"."""
    kind = None
    for line in file:
        kind, *words = json.loads(line)
        inbox.put((kind, words))
    if kind != "end":
        inbox.put(("gone", ()))


def collect(inbox, processes, report):
    """What the processes say until all of them have ended: results and unsteady ones."""
    results, unsteady = [], []
    while processes:
        kind, words = inbox.get()
        if kind in ("end", "gone"):
            processes -= 1
        if kind == "gone":
            kind, words = "result", ((), "the lab", "the process that ran it has died")
        if kind == "unsteady":
            unsteady.append(words)
        if kind == "result":
            results.append(words)
            report(*words)
    return results, unsteady


def run(scenarios, labs, report):
    """Runs scenarios. Returns (rules, name, why or None) of each, and (name, why) of those that failed once only."""
    shutil.rmtree(harness.FAILED, ignore_errors=True)
    queue, entry = os.pipe()
    os.write(entry, b"".join(NUMBER.pack(number) for number in range(len(scenarios))))
    os.close(entry)
    name = os.environ["LAB"]
    workers = [start(scenarios, queue, name if labs == 1 else f"{name}-{number}") for number in range(1, labs + 1)]
    os.close(queue)
    inbox = SimpleQueue()
    for _, file in workers:
        threading.Thread(target=listen, args=(file, inbox), daemon=True).start()
    try:
        return collect(inbox, labs, report)
    except BaseException:
        for process, _ in workers:
            process.terminate()
        raise
    finally:
        for process, _ in workers:
            process.join()
