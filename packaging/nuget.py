# SPDX-License-Identifier: LGPL-3.0-or-later
"""Packages of NuGet's kind, which Chocolatey takes, too: a zip by the Open Packaging Conventions, with a list of content types,
and relations that name the manifest and, if there are any, the core properties."""
import posixpath

from archive import write_zip

XML = '<?xml version="1.0" encoding="utf-8"?>\n'
CONVENTIONS = "http://schemas.openxmlformats.org/package/2006"
MANIFEST = "http://schemas.microsoft.com/packaging/2010/07/manifest"
CORE = f"{CONVENTIONS}/relationships/metadata/core-properties"
TYPES = {"rels": "vnd.openxmlformats-package.relationships+xml", "psmdcp": "vnd.openxmlformats-package.core-properties+xml"}


def content_types(names):
    """Every file's name needs a type: by its extension, or, if it has none, by itself."""
    endings = sorted({name.rpartition(".")[2] for name in names if "." in posixpath.basename(name)})
    lines = [f'  <Default Extension="{ending}" ContentType="application/{TYPES.get(ending, "octet")}" />\n'
             for ending in endings]
    lines += [f'  <Override PartName="/{name}" ContentType="application/octet" />\n' for name in sorted(names)
              if "." not in posixpath.basename(name)]
    return f'{XML}<Types xmlns="{CONVENTIONS}/content-types">\n{"".join(lines)}</Types>\n'


def relations(manifest, core):
    """Which part of the package is what."""
    pairs = [(MANIFEST, manifest), *([(CORE, core)] if core else [])]
    lines = "".join(f'  <Relationship Type="{kind}" Target="/{part}" Id="R{number}" />\n'
                    for number, (kind, part) in enumerate(pairs, 1))
    return f'{XML}<Relationships xmlns="{CONVENTIONS}/relationships">\n{lines}</Relationships>\n'


def write_package(target, files, epoch, manifest, core=None):
    """files: {name: bytes}; manifest and core are names of two of them."""
    parts = {**files, "_rels/.rels": relations(manifest, core).encode()}
    write_zip(target, [("[Content_Types].xml", content_types(parts).encode()), *sorted(parts.items())], epoch)
