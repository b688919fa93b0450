# SPDX-License-Identifier: LGPL-3.0-or-later
"""The tree that all artefacts for users are made of: what CMake installs (cmake/install.cmake), the genuine WinDivert
files, licences, documents, and what is in it (SBOM, SHA256SUMS)."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import sbom
from common import DistError, files_of, run, say, sha256, sign

SIGNED = ("bin/redirector.exe", "bin/windows_redirector.dll")  # WinDivert's files are, by its author
COMMON_LICENSES = pathlib.Path("/usr/share/common-licenses")
MINGW_LICENSE = pathlib.Path("/usr/share/doc/mingw-w64-x86-64-dev/copyright")


def build_and_install(context):
    preset = "mingw-release"
    if subprocess.run([str(context.root / "scripts" / "build.sh"), preset], check=False).returncode:
        raise DistError("the build failed")
    run(["cmake", "--install", context.root / "build" / preset, "--prefix", context.stage])


def add(stage, name, source):
    """One file, by its name in the package."""
    target = stage / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise DistError(f"{name}: {error}") from None


def add_windivert(context):
    """The two files, which must be the pinned ones; the pins are in scripts/windivert.sh."""
    stage = context.stage
    folder = pathlib.Path(os.environ.get("WINDIVERT_DIR") or context.root / "build" / "windivert")
    pins = (context.root / "scripts" / "windivert.sh").read_text(encoding="utf-8")
    for name, kind in (("WinDivert.dll", "dll"), ("WinDivert64.sys", "sys")):
        pin = re.search(rf"^readonly {kind}_sha256=([0-9a-f]{{64}})$", pins, re.M)
        if not pin:
            raise DistError(f"scripts/windivert.sh has no line 'readonly {kind}_sha256=...'")
        add(stage, f"bin/{name}", folder / name)
        if sha256(stage / "bin" / name) != pin[1]:
            raise DistError(f"{folder / name} is not the file of WinDivert 2.2.2 x64 (its SHA-256 is not {pin[1]})")
        say(f"{name}: genuine, SHA-256 {pin[1]}")


def add_licenses(context):
    stage, root = context.stage, context.root
    for name in ("COPYING", "COPYING.LESSER"):
        add(stage, f"licenses/{name}", root / name)
    add(stage, "licenses/WinDivert/NOTICE.txt", root / "packaging" / "windivert-notice.txt")
    for name in ("LGPL-3", "GPL-3", "GPL-2"):
        add(stage, f"licenses/WinDivert/{name}", COMMON_LICENSES / name)
    add(stage, "licenses/mingw-w64/copyright", MINGW_LICENSE)


def add_documents(context):
    stage, root = context.stage, context.root
    for name in ("README.md", "CHANGELOG.md"):
        add(stage, name, root / name)
    add(stage, "first_run.cmd", root / "packaging" / "first_run.cmd")
    for path in sorted((root / "docs").glob("*.*")):
        add(stage, path.relative_to(root), path)
    text = (root / "packaging" / "PACKAGE.md.in").read_text(encoding="utf-8")
    (stage / "PACKAGE.md").write_text(text.replace("@VERSION@", context.version), encoding="utf-8")


def write_sums(path, folder, names):
    path.write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names), encoding="utf-8")


def fill(context):
    build_and_install(context)
    for name in SIGNED:
        sign(context.stage / name)
    add_windivert(context)
    add_licenses(context)
    add_documents(context)
    document = sbom.of_package(context, files_of(context.stage))
    (context.stage / "sbom.cdx.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    write_sums(context.stage / "SHA256SUMS", context.stage, files_of(context.stage))
