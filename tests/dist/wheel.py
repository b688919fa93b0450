#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The Python wheel: what is in it, what its metadata say, and its use from where pip puts it.

    wheel.py WHEEL      called by tests/dist/run; ends "N passed, N failed"
"""
import base64
import csv
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE = "windows_redirector"
BIN = ("windows_redirector.dll", "redirector.exe", "WinDivert.dll", "WinDivert64.sys")
MODULES = ("__init__.py", "__main__.py", "_convert.py", "_datagrams.py", "_library.py", "_process.py", "_redirector.py",
           "_rules.py", "aio.py", "py.typed")
LICENSES = ("COPYING", "COPYING.LESSER", "WinDivert/GPL-2", "WinDivert/GPL-3", "WinDivert/LGPL-3", "WinDivert/NOTICE.txt",
            "mingw-w64/copyright")


passed = failed = 0


def check(condition, name, why=""):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    print(f"ok wheel: {name}" if condition else f"FAIL wheel: {name}: {why}", flush=True)


def run(*words):
    """(status, output)"""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def check_contents(archive, info):
    names = {name for name in archive.namelist() if not name.endswith("/")}
    want = {f"{PACKAGE}/{name}" for name in MODULES} | {f"{PACKAGE}/bin/{name}" for name in BIN}
    want |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    want |= {f"{info}/licenses/{name}" for name in LICENSES}
    check(names == want, "its files", sorted(names ^ want))
    for name in MODULES:
        source = ROOT / "python" / PACKAGE / name
        check(archive.read(f"{PACKAGE}/{name}") == source.read_bytes(), f"{name} as it is in the sources")
    stage = next((ROOT / "build" / "dist").glob("*-win64"))
    check(all(archive.read(f"{PACKAGE}/bin/{name}") == (stage / "bin" / name).read_bytes() for name in BIN),
          "library, program and driver are those of the package")


def check_record(archive, info):
    """What pip trusts: the hash and size of each file."""
    wrong = []
    for name, digest, size in csv.reader(archive.read(f"{info}/RECORD").decode().splitlines()):
        data = archive.read(name)
        ours = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        if digest and (digest, int(size)) != (ours, len(data)):
            wrong.append(name)
    check(not wrong, "the record's hashes", wrong)


def check_metadata(archive, info, wheel, version):
    metadata, tags = archive.read(f"{info}/METADATA").decode(), archive.read(f"{info}/WHEEL").decode()
    check(f"\nVersion: {version}\n" in metadata and "\nRequires-Python: >=3.8\n" in metadata, "version and Python", metadata[:400])
    check("\nTag: py3-none-win_amd64\n" in tags + "\n" and "\nRoot-Is-Purelib: false\n" in tags, "its tag", tags)
    check("redirector = windows_redirector.__main__:main" in archive.read(f"{info}/entry_points.txt").decode(), "its program")
    status, output = run("/usr/bin/twine", "check", "--strict", wheel)
    check(status == 0 and "PASSED" in output, "twine's strict check", output)


def check_installed(wheel, folder):
    """As pip installs it on Windows; used here, so another library stands in for the DLL."""
    target = folder / "site"
    page = (ROOT / "docs" / "install.md").read_text()
    first, second = re.search(r"^## Python\n\n```\n(.*)\n(.*)\n```$", page, flags=re.M).groups()
    check(second == "python -m windows_redirector doctor", "install.md names the program", second)
    status, output = run(sys.executable, "-m", *first.split(), "--disable-pip-version-check", "--no-index", "--find-links",
                         wheel.parent, "--no-compile", "--root-user-action", "ignore", "--platform", "win_amd64",
                         "--only-binary", ":all:", "--target", target)
    check(status == 0 and (target / PACKAGE / "bin" / "WinDivert64.sys").is_file(), "pip installs it, by the words of install.md", output)
    status, output = run(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps",
                         "--target", folder / "other", wheel)
    check(status != 0 and "is not a supported wheel on this platform" in output, "pip refuses it on another system", output)
    mock = folder / "mock.so"
    run("gcc", "-std=gnu11", "-shared", "-fPIC", f"-I{ROOT / 'include'}", ROOT / "tests" / "api" / "mock_library.c", "-o", mock)
    program, port = folder / "program.py", folder / "port"
    for document in ("python/README.md", "docs/python.md"):
        shown = re.search(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), flags=re.M | re.S)[1]
        program.write_text(f"import windows_redirector\nwindows_redirector.load({str(mock)!r})\n" +
                           shown.replace("sleep(60)", "sleep(0)"))
        port.unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-B", program, "1000"], capture_output=True, text=True, check=False,
                              env={"PYTHONPATH": str(target), "MOCK_PORT": str(port), "PATH": "/usr/bin"})
        check(done.returncode == 0 and port.exists(), f"the first program of {document} runs with it", done.stderr)


def main():
    wheel = pathlib.Path(sys.argv[1])
    version = wheel.name.split("-")[1]
    info = f"{PACKAGE}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        check_contents(archive, info)
        check_record(archive, info)
        check_metadata(archive, info, wheel, version)
    with tempfile.TemporaryDirectory(prefix="redirector-wheel-") as folder:
        check_installed(wheel, pathlib.Path(folder))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
