# SPDX-License-Identifier: LGPL-3.0-or-later
"""Numbered pieces of work shared out among processes that run side by side.

The numbers stand in a pipe, from which each process takes the next when it is done with one. What it has to say goes
back by another pipe, a line of JSON each, whose end is the process's end.
"""
import json
import multiprocessing
import os
import struct
import threading
from queue import SimpleQueue

NUMBER = struct.Struct("=H")


def take(queue):
    """The numbers that this process gets. A read of a pipe is one piece, and so is a number."""
    while number := os.read(queue, NUMBER.size):
        yield NUMBER.unpack(number)[0]


def speaker(answers):
    """A function that says something to the process that shares the work out. The last it says is "end"."""
    file = open(answers, "w", encoding="utf-8")

    def say(*words):
        print(json.dumps(words), file=file, flush=True)
    return say


def forked(work, *words):
    """For share(): starts a copy of this process, in which work(*words, queue, answers) is done."""
    def start(queue, answers):
        process = multiprocessing.get_context("fork").Process(target=work, args=(*words, queue, answers))
        process.start()
        return process.terminate, process.join
    return start


def listen(file, inbox):
    words = [None]
    with file:
        for line in file:
            words = json.loads(line)
            inbox.put(words)
    if words[0] != "end":
        inbox.put(["gone"])


def share(numbers, starts):
    """Shares the numbers out. Yields what the processes say; ["gone"] for one that ends without "end".

    Each of `starts` starts one: start(queue, answers), for take() and speaker(), returns the functions that end it and
    wait for it.
    """
    queue, entry = os.pipe()
    os.write(entry, b"".join(NUMBER.pack(number) for number in numbers))
    os.close(entry)
    inbox, workers = SimpleQueue(), []
    try:
        for start in starts:
            answers, theirs = os.pipe()
            workers.append(start(queue, theirs))
            os.close(theirs)
            threading.Thread(target=listen, args=(os.fdopen(answers, encoding="utf-8"), inbox), daemon=True).start()
        os.close(queue)
        at_work = len(workers)
        while at_work:
            words = inbox.get()
            at_work -= words[0] in ("end", "gone")
            yield words
    except BaseException:
        for end, _ in workers:
            end()
        raise
    finally:
        for _, wait in workers:
            wait()
