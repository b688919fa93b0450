#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The Rust packages as others get them: a folder as the registry, and a project that needs them.

    tests/bindings/crates.py FOLDER     builds rust_watch.exe (the program of docs/install.md) and rust_forward.exe (the
                                        example), with the library inside, into FOLDER; called by tests/api/lab_test.sh
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = "x86_64-pc-windows-gnu"
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "packaging"))
import crate  # noqa: E402
from common import Context, version_of  # noqa: E402


def version():
    return version_of(ROOT)


def pack(folder, root=ROOT):
    """The paths of the packages."""
    folder.mkdir()
    return crate.make(Context(root, folder, folder, version(), 1_700_000_000))[0]


def section(name):
    """A section of docs/install.md."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    return re.search(rf"^## {re.escape(name)}$(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def block(text, language):
    return re.search(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)[1]


def dependency(name, requirement, kind):
    return {"name": name, "req": requirement, "features": [], "optional": False, "default_features": True, "target": None,
            "kind": kind}


def make_registry(folder, packages):
    """A local registry, as cargo knows it: an index, and the packages. Debian's cc, which it has unpacked, is packed."""
    folder.mkdir(parents=True)
    cc = next(crate.SYSTEM_CRATES.glob("cc-1.*"))
    files = [(f"{cc.name}/{path.relative_to(cc)}", path.read_bytes()) for path in sorted(cc.rglob("*"))
             if path.is_file() and path.name != ".cargo-checksum.json"]
    crate.pack(files, folder / f"{cc.name}.crate", 0)
    needs = {"cc": [], "windows-redirector-sys": [dependency("cc", "^1.0.73", "build")],
             "windows-redirector": [dependency("windows-redirector-sys", f"={version()}", "normal")]}
    for package in packages:
        shutil.copy(package, folder)
    for package in folder.glob("*.crate"):
        name, number = package.name.removesuffix(".crate").rsplit("-", 1)
        entry = {"name": name, "vers": number, "deps": needs[name], "cksum": crate.sha256(package), "features": {},
                 "yanked": False}
        index = folder / "index" / ("2" if len(name) == 2 else f"{name[:2]}/{name[2:4]}") / name
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(json.dumps(entry) + "\n", encoding="utf-8")


class Project:
    """An empty folder with a new project, in which cargo knows the packages from its registry."""

    def __init__(self, folder, packages, **environment):
        self.build = folder / "rust"
        self.folder = folder / "watch"
        make_registry(self.build / "registry", packages)
        commands = folder / "commands"
        commands.mkdir()
        (commands / "cargo").write_text(f'#!/bin/sh\nexec "{ROOT}/rust/cargo.sh" "$@"\n', encoding="utf-8")
        (commands / "cargo").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name != "WINDOWS_REDIRECTOR_LIB_DIR"}
        self.environment = {**kept, "PATH": f"{commands}:{os.environ['PATH']}", "RUST_BUILD": str(self.build),
                            "CARGO_PROFILE_DEV_DEBUG": "0", **environment}
        subprocess.run(["cargo", "init", "--quiet", "--vcs", "none", "--name", "watch", str(self.folder)], check=True,
                       env=self.environment)
        main = self.folder / "src" / "main.rs"
        main.write_text(block(section("Rust"), "rust"), encoding="utf-8")
        (self.folder / "src" / "bin").mkdir()
        shutil.copy(ROOT / "rust" / "windows-redirector" / "examples" / "forward.rs", self.folder / "src" / "bin")

    def run(self, command):
        """(exit status, output) of a shell command there."""
        done = subprocess.run(["sh", "-ec", command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def run_script(self, script, **variables):
        """The build script, as cargo would run it for another target."""
        kept = {name: value for name, value in self.environment.items() if name != "WINDOWS_REDIRECTOR_LIB_DIR"}
        return subprocess.run([str(script)], env={**kept, **variables}, capture_output=True, text=True, check=False)

    def install_and_build(self):
        """By the words of docs/install.md."""
        build = re.search(r"^`(cargo build [^`]+)`", section("Rust"), re.M)[1]
        return self.run(block(section("Rust"), "sh") + build)

    def program(self, name):
        return self.build / "target" / TARGET / "debug" / f"{name}.exe"


def main():
    with tempfile.TemporaryDirectory(prefix="redirector-crates-") as folder:
        folder = pathlib.Path(folder)
        project = Project(folder, pack(folder / "packages"))
        status, output = project.install_and_build()
        print(output)
        if status:
            return status
        for name in ("watch", "forward"):
            shutil.copy(project.program(name), pathlib.Path(sys.argv[1], f"rust_{name}.exe"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
