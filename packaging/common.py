# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the makers of artefacts have in common. A maker is a module with one function:

    make(context) -> (paths, components)

It writes files into context.dist and returns their paths, and what is in them as components of CycloneDX, which the
SBOM of the release nests under the first of these files. context.stage has the tree that users get (bin/, lib/,
include/, licenses/, docs/), complete, to be read only. What a maker writes depends on nothing else: not on clock, folder or umask.
"""
import dataclasses
import hashlib
import os
import pathlib
import re
import shlex
import subprocess

URL = "https://github.com/windows-redirector/windows-redirector"
OWN_LICENSE = "LGPL-3.0-or-later"
SUMMARY = "Redirects the TCP connections of a process tree on Windows to a local proxy"


class DistError(RuntimeError):
    """No package; the text says why."""


@dataclasses.dataclass(frozen=True)
class Context:
    root: pathlib.Path   # the sources
    dist: pathlib.Path   # where artefacts go
    stage: pathlib.Path  # the tree that is packed
    version: str         # "1.2.3"
    epoch: int           # the time of everything, in seconds since 1970

    def asset(self, name):
        """Where the file will be had from, once the release is published."""
        return f"{URL}/releases/download/v{self.version}/{name}"


def version_of(folder):
    """By the public header in folder/include, where everything has it from."""
    text = (folder / "include" / "windows_redirector.h").read_text(encoding="utf-8")
    return re.search(r'^#define REDIRECTOR_VERSION_STRING "(.+)"', text, re.M)[1]


def say(text):
    print(f"dist: {text}", flush=True)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(stage):
    """Names of a tree's files, in an order that is the same everywhere."""
    return sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())


def sign(path):
    """By SIGN_COMMAND, which gets the path as its last argument; without it nothing is signed."""
    command = os.environ.get("SIGN_COMMAND")
    if command:
        before = sha256(path)
        run([*shlex.split(command), path])
        if sha256(path) == before:
            raise DistError(f"SIGN_COMMAND has left {path.name} as it was")
        say(f"{path.name}: signed")


def run(command, **options):
    """A tool, whose output matters only if it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **options)
    if done.returncode:
        raise DistError(f"{command[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout
