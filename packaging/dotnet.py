# SPDX-License-Identifier: LGPL-3.0-or-later
"""WindowsRedirector.VERSION.nupkg: the C# class, to be compiled into the project that installs it, and what it needs.

A package of NuGet is a zip by the Open Packaging Conventions: a list of content types, and a relation that names the
manifest. Its class is a source and no assembly, for Debian's compiler makes another file each time.
"""
import posixpath

import sbom
from archive import write_zip

NATIVE = ("bin/windows_redirector.dll", "bin/WinDivert.dll", "bin/WinDivert64.sys")
ID = "WindowsRedirector"
MANIFEST = f"{ID}.nuspec"
TYPES = {"rels": "application/vnd.openxmlformats-package.relationships+xml"}
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def content_types(names):
    """Every file's name needs a type: by its extension, or, if it has none, by itself."""
    endings = sorted({name.rpartition(".")[2] for name in names if "." in posixpath.basename(name)})
    lines = [f'  <Default Extension="{ending}" ContentType="{TYPES.get(ending, "application/octet")}" />\n'
             for ending in endings]
    lines += [f'  <Override PartName="/{name}" ContentType="application/octet" />\n' for name in sorted(names)
              if "." not in posixpath.basename(name)]
    return (HEAD + '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\n' + "".join(lines) +
            "</Types>\n")


def relations():
    return (HEAD + '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\n'
            f'  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/{MANIFEST}" '
            'Id="manifest" />\n</Relationships>\n')


def make(context):
    folder = context.root / "dotnet"
    licenses = sorted(path.relative_to(context.stage).as_posix() for path in (context.stage / "licenses").rglob("*")
                      if path.is_file())
    manifest = (folder / f"{MANIFEST}.in").read_text(encoding="utf-8").replace("@VERSION@", context.version)
    files = {MANIFEST: manifest.encode(),
             f"build/{ID}.targets": (folder / f"{ID}.targets").read_bytes(),
             f"source/{ID}.cs": (folder / f"{ID}.cs").read_bytes()}
    files.update((f"native/{posixpath.basename(name)}", (context.stage / name).read_bytes()) for name in NATIVE)
    files.update((name, (context.stage / name).read_bytes()) for name in licenses)
    files["_rels/.rels"] = relations().encode()
    entries = [("[Content_Types].xml", content_types(files).encode()), *sorted(files.items())]
    target = context.dist / f"{ID}.{context.version}.nupkg"
    write_zip(target, entries, context.epoch)
    return [target], sbom.contents(context.stage, [*NATIVE, *licenses])
