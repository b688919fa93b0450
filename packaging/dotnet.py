# SPDX-License-Identifier: LGPL-3.0-or-later
"""WindowsRedirector.VERSION.nupkg: the C# class, to be compiled into the project that installs it, and what it needs.

Its class is a source and no assembly, for Debian's compiler makes another file each time.
"""
import posixpath

import nuget
import sbom
from common import files_of

NATIVE = ("bin/windows_redirector.dll", "bin/WinDivert.dll", "bin/WinDivert64.sys")
ID = "WindowsRedirector"
MANIFEST = f"{ID}.nuspec"


def make(context):
    folder = context.root / "dotnet"
    licenses = [name for name in files_of(context.stage) if name.startswith("licenses/")]
    manifest = (folder / f"{MANIFEST}.in").read_text(encoding="utf-8").replace("@VERSION@", context.version)
    files = {MANIFEST: manifest.encode(),
             f"build/{ID}.targets": (folder / f"{ID}.targets").read_bytes(),
             f"source/{ID}.cs": (folder / f"{ID}.cs").read_bytes()}
    files.update((f"native/{posixpath.basename(name)}", (context.stage / name).read_bytes()) for name in NATIVE)
    files.update((name, (context.stage / name).read_bytes()) for name in licenses)
    target = context.dist / f"{ID}.{context.version}.nupkg"
    nuget.write_package(target, files, context.epoch, MANIFEST)
    return [target], sbom.contents(context.stage, [*NATIVE, *licenses])
