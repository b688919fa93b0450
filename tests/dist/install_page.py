#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""docs/install.md: its blocks for C and C++, tried as they stand.

    tests/dist/install_page.py FOLDER PACKAGE   FOLDER gets the programs page_NAME.exe, and in FOLDER/clang one for the DLL,
                                                with it; PACKAGE is the unpacked zip

A block of C:/windows-redirector finds the package there: the folder's name is the one thing that is put in place of
another. CMake is told of the cross-compiler by its environment, gcc is the cross-compiler, and git takes a repository of
this tree for the project's. What is tried elsewhere, or cannot be here, is named below with its place or reason: a block
that is not named is a failure. Other languages have their tests with their packages.
Ends "N passed, N failed".
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "packaging"))
import common  # noqa: E402

PAGE = ROOT / "docs" / "install.md"
INSTALLED = "C:/windows-redirector"
ELSEWHERE = {
    "Installer": "tests/installer/run runs both lines under Wine",
    "Zip": "packaging/try_zip.sh runs redirector.exe of the zip",
    "Go": "packaging/go_get.sh runs both lines",
    "Python": "tests/dist/wheel.py gives its first line to pip; tests/api/lab_test.sh runs the program by python -m",
    "Rust": "tests/bindings/check_rust.py runs its lines", ".NET": "tests/bindings/check_dotnet.py compiles its program",
}
NOT_HERE = {
    "winget": "no winget here, and it downloads from a release; tests/dist/manager_rules.py checks its manifests",
    "scoop": "no scoop here, and it downloads from a release; tests/dist/manager_rules.py checks its manifest",
    "Chocolatey": "no Chocolatey here, and it downloads from a release; tests/dist/manager_rules.py checks its package",
    "Visual Studio": "no cl here: its files are checked to be there, and packaging/try_zip.sh links as it does, by clang "
                     "and lld-link",
    "MSYS2": "no MSYS2 here; the workflow check runs the same preset on Windows",
    "Conan": "no Conan here; tests/dist/run checks that the recipe takes all sources along",
}
passed = failed = 0


def check(condition, name, why=""):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    text = " | ".join(str(why).strip().splitlines()[-12:])
    print(f"ok {name}" if condition else f"FAIL {name}: {text}", flush=True)
    return condition


def blocks(text):
    """[(heading, kind, block)]"""
    found, heading, kind, lines = [], "", None, []
    for line in text.splitlines():
        if line.startswith("```"):
            if kind is None:
                kind, lines = line[3:].strip(), []
            else:
                found.append((heading, kind, "\n".join(lines) + "\n"))
                kind = None
        elif kind is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found


class Page:
    def __init__(self, programs, package, work):
        self.programs, self.package, self.work = programs, package, work
        self.blocks = blocks(PAGE.read_text(encoding="utf-8"))
        tools = work / "tools"
        tools.mkdir()
        (tools / "gcc").symlink_to("/usr/bin/x86_64-w64-mingw32-gcc")
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "GIT_CONFIG_NOSYSTEM": "1",
                            "GIT_CONFIG_GLOBAL": str(work / "gitconfig")}

    def block(self, heading, kind):
        found = [text for where, what, text in self.blocks if (where, what) == (heading, kind)]
        if len(found) != 1:
            raise ValueError(f"{len(found)} blocks of '{kind}' under '{heading}'")
        return found[0].replace(INSTALLED, str(self.package))

    def tried(self, name, heading, toolchain=None):
        """A user's folder with the page's program in it, and what is under the heading done there."""
        folder = self.work / name
        folder.mkdir()
        (folder / "agent.c").write_text(self.block("C and C++", "c"), encoding="utf-8")
        environment = dict(self.environment)
        if toolchain:
            (folder / "CMakeLists.txt").write_text(self.block(heading, "cmake"), encoding="utf-8")
            environment.update(CMAKE_TOOLCHAIN_FILE=str(ROOT / "cmake" / toolchain), CFLAGS="-Werror")
        if self.run(f"install.md, {heading}: word for word", heading, folder, environment):
            shutil.copy(next(folder.rglob("agent.exe")), self.programs / f"page_{name}.exe")
        return folder, environment

    def run(self, name, heading, folder, environment):
        done = subprocess.run(["bash", "-eu", "-c", self.block(heading, "sh")], cwd=folder, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return check(done.returncode == 0 and len(list(folder.rglob("agent.exe"))) == 1, name, done.stdout)

    def tried_with_dll(self, heading, folder, environment):
        """What the comment in the block says: the DLL instead. It has been built already."""
        project = folder / "CMakeLists.txt"
        text = project.read_text(encoding="utf-8").replace("windows_redirector::static)", "windows_redirector::dll)")
        project.write_text(text, encoding="utf-8")
        if self.run(f"install.md, {heading}: or with the DLL", heading, folder, environment):
            (self.programs / "clang").mkdir()
            for name in ("agent.exe", "windows_redirector.dll"):
                shutil.copy(next(folder.rglob(name)), self.programs / "clang")

    def check_names(self, version):
        text = PAGE.read_text(encoding="utf-8")
        versions = set(re.findall(r"(?:windows-redirector-|[@/ ]v)(\d+\.\d+\.\d+)", text))
        check(versions == {version}, "install.md names this version everywhere", versions)
        files = re.findall(r"C:\\windows-redirector\\(\S+)", self.block("Visual Studio", "bat"))
        missing = [file for file in files if not (self.package / file.replace("\\", "/")).exists()]
        check(len(files) == 2 and not missing, "install.md, Visual Studio: what it names is in the package",
              missing or files)
        tried = {"C and C++", "CMake, installed", "CMake, as a part of your project", "pkg-config"}
        unknown = {heading for heading, _, _ in self.blocks} - tried - set(ELSEWHERE) - set(NOT_HERE)
        check(not unknown, "install.md: each block is tried, or named here with a reason", unknown)
        for heading, reason in NOT_HERE.items():
            print(f"     not tried here: install.md, {heading}: {reason}")


def main():
    programs, package = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    version = common.version_of(package)
    with tempfile.TemporaryDirectory(prefix="redirector-page-") as name:
        work = pathlib.Path(name)
        try:
            page = Page(programs, package, work)
            script = '. "$1/packaging/repository.sh" && make_repository "$2" "$1" "$3"'
            done = subprocess.run(["bash", "-c", script, "bash", str(ROOT), name, f"v{version}"], capture_output=True,
                                  text=True, check=False)
            check(done.returncode == 0, "install.md: a repository with the tag", done.stderr)
            page.tried("cmake", "CMake, installed", "mingw-w64.cmake")
            inside = "CMake, as a part of your project"
            page.tried_with_dll(inside, *page.tried("fetch", inside, "mingw-w64-clang.cmake"))
            page.tried("pkg", "pkg-config")
            page.check_names(version)
        except (OSError, ValueError) as error:
            check(False, "install.md: the blocks are where they were", error)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
