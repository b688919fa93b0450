#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Runs the unit test programs of a native build and counts test functions.

    scripts/run_unit_tests.py BUILD_DIR [--label LABEL]

CTest knows the programs; cmocka reports each test function of a program as a line of TAP. A program that ends badly
although its functions passed (a sanitizer's finding at exit, a crash) counts as one failure more.
Prints a line per test function and ends "N passed, N failed".
"""
import argparse
import json
import os
import re
import subprocess
import sys

TIME_LIMIT_S = 120


def test_programs(build_dir, label):
    listing = ["ctest", "--test-dir", build_dir, "--show-only=json-v1"] + (["-L", label] if label else [])
    tests = json.loads(subprocess.run(listing, check=True, capture_output=True, text=True).stdout)["tests"]
    return [(test["name"], test["command"]) for test in tests if test["name"].startswith("test_")]


def run_program(name, command):
    """Returns (passed, failed) of one program and prints its lines."""
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=TIME_LIMIT_S)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode(errors="replace")
        status = f"no end within {TIME_LIMIT_S} s"

    passed = failed = 0
    for line in output.splitlines():
        match = re.match(r"(not )?ok \d+ - (\S+)", line)
        if not match:
            continue
        if match.group(1):
            failed += 1
            print(f"FAIL {name}: {match.group(2)}")
        else:
            passed += 1
            print(f"ok {name}: {match.group(2)}")
    if status != 0 and failed == 0:
        failed += 1
        print(f"FAIL {name}: ended with {status}")
    if passed + failed == 0:
        failed = 1
        print(f"FAIL {name}: it ran no test")
    if failed:
        print("\n".join("    " + line for line in output.splitlines()))
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build_dir")
    parser.add_argument("--label")
    arguments = parser.parse_args()
    passed = failed = 0
    for name, command in test_programs(arguments.build_dir, arguments.label):
        counts = run_program(name, command)
        passed += counts[0]
        failed += counts[1]
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
