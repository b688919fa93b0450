# SPDX-License-Identifier: LGPL-3.0-or-later
"""The Rust packages: generated code, layout, calls against the stand-in, what is packed, and its use by a stranger."""
import os
import re
import shutil
import tarfile

import crates
from crates import ROOT

CARGO = ROOT / "rust" / "cargo.sh"
SYS = ROOT / "rust" / "windows-redirector-sys"
NO_DEBUG = {"CARGO_PROFILE_DEV_DEBUG": "0"}
MINGW = ROOT / "build" / "mingw-release"


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name != "WINDOWS_REDIRECTOR_LIB_DIR"}
    return {**kept, **NO_DEBUG, **more}


def check_sources(checks):
    checks.command("Rust: generated code is that of the header", [ROOT / "rust" / "generate.sh", "--check"])
    manifests = (ROOT / "Cargo.toml").read_text() + (ROOT / "rust" / "windows-redirector" / "Cargo.toml").read_text()
    found = re.findall(r'version = "=?(\d+\.\d+\.\d+)"', manifests.split("[build-dependencies]")[0]) + \
        re.findall(r'version = "=?(\d+\.\d+\.\d+)"', manifests.split("[build-dependencies]")[1])
    checks.check(found == [crates.version()] * 3, "Rust: the version is the header's", found)
    script = (SYS / "build.rs").read_text(encoding="utf-8")
    cmake = (ROOT / "cmake" / "windows.cmake").read_text(encoding="utf-8")
    wanted = re.search(r"^set\(SYSTEM_LIBRARIES (.+)\)$", cmake, re.M)[1].split()
    libraries = re.findall(r'"(\w+)"', re.search(r"^const SYSTEM_LIBRARIES.*= \[(.*)\];$", script, re.M)[1])
    checks.check(libraries == wanted, "Rust: links the system libraries of cmake/windows.cmake", libraries)
    go = (ROOT / "go" / "internal" / "library" / "library_windows_amd64.go").read_text(encoding="utf-8")
    by_go = set(re.findall(r" -D(\S+)", "\n".join(re.findall(r"^#cgo CFLAGS:(.*)$", go, re.M))))
    defines = {name if value == "None" else f"{name}={value[1:-1]}"
               for name, value in re.findall(r'\.define\("(\w+)", (None|"\w+")\)', script)}
    flags = set(re.findall(r" (-(?:std|f)\S+)", go))
    ours = set(re.findall(r'\.flag\("(\S+)"\)', script))
    checks.check(defines == by_go and ours == flags, "Rust: compiles as the Go module does", (defines ^ by_go, ours ^ flags))


def check_calls(checks):
    """rust/*/tests, and the program on the crate's page compiles."""
    stand_in = environment(WINDOWS_REDIRECTOR_LIB_DIR=str(checks.folder), LD_LIBRARY_PATH=str(checks.folder))
    output = checks.command("Rust: tests against the stand-in", [CARGO, "test", "--workspace", "--locked"], cwd=ROOT,
                            env=stand_in)
    tests = re.findall(r"^test (.+?) \.\.\. ok$", output or "", re.M)
    for test in tests:
        checks.check(True, f"Rust: {test}")
    checks.check(len(tests) >= 17, "Rust: all tests were run", output)


def check_packages(checks):
    """Made twice, in different folders and by different users' habits."""
    packages = crates.pack(checks.folder / "packages")
    copy = checks.folder / "another folder" / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    old = os.umask(0o077)
    others = crates.pack(checks.folder / "others", copy)
    os.umask(old)
    for one, other in zip(packages, others):
        checks.check(one.read_bytes() == other.read_bytes(), f"Rust: {one.name} is the same, made in another folder")
        print(f"   {one.name}: {one.stat().st_size} bytes")
    with tarfile.open(packages[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    sources = {str(path.relative_to(ROOT)) for folder in ("src", "go/internal/library") for path in (ROOT / folder).rglob("*.[ch]")}
    checks.check(sources <= names and "COPYING.LESSER" in names and "include/windows_redirector.h" in names,
                 "Rust: the package has all C sources and the licence", sources - names)
    strange = [name for name in names if not re.fullmatch(r"(src|go/internal/library|include)/\S+\.[ch]|rust/\S+\.(rs|md)|"
                                                          r"Cargo\.toml(\.orig)?|COPYING(\.LESSER)?", name)]
    checks.check(not strange, "Rust: and nothing else", strange)
    return packages


def check_use(checks, packages):
    """A stranger's project, with the DLL; tests/api/lab_test.sh has it with the library inside."""
    page = (ROOT / "rust" / "windows-redirector" / "README.md").read_text(encoding="utf-8")
    checks.check(crates.block(page, "rust,no_run") == crates.block(crates.section("Rust"), "rust"),
                 "Rust: docs/install.md and the crate's page have the same program")
    project = crates.Project(checks.folder, packages, WINDOWS_REDIRECTOR_LIB_DIR=str(MINGW))
    status, output = project.install_and_build()
    if checks.check(status == 0, "Rust: docs/install.md, word for word, with the DLL", output):
        imports = checks.command("Rust: its imports", ["x86_64-w64-mingw32-objdump", "-p", project.program("watch")])
        checks.check("DLL Name: windows_redirector.dll" in imports, "Rust: it imports the DLL", imports)
    refusals = (("x86_64-unknown-linux-gnu", {}, "it is for Windows alone; put it under [target.'cfg(windows)'"),
                (crates.TARGET, {"WINDOWS_REDIRECTOR_LIB_DIR": "/nowhere"}, "is '/nowhere', which is no folder"),
                ("x86_64-pc-windows-msvc", {}, "set WINDOWS_REDIRECTOR_LIB_DIR to the folder lib of"),
                ("i686-pc-windows-gnu", {}, "it is for x86_64 alone"))
    script = next((project.build / "target" / "debug" / "build").glob("windows-redirector-sys-*/build-script-build"))
    for target, more, text in refusals:
        machine, _, system, kind = target.split("-")
        done = project.run_script(script, CARGO_CFG_TARGET_OS=system, CARGO_CFG_TARGET_ARCH=machine,
                                  CARGO_CFG_TARGET_ENV=kind, CARGO_MANIFEST_DIR=str(ROOT), **more)
        checks.check(done.returncode == 1 and text in done.stderr, f"Rust: refused, with advice: {target} {more}", done)


def check_all(checks):
    check_sources(checks)
    check_calls(checks)
    check_use(checks, check_packages(checks))
