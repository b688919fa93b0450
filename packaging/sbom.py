# SPDX-License-Identifier: LGPL-3.0-or-later
"""What is in the package, and in each artefact of a release, for programs: CycloneDX 1.5 (https://cyclonedx.org).

Components of the package: WinDivert, which is another project's work; the parts of mingw-w64 and GCC that the linker puts
into every Windows program; and each file, with its hash. Components of a release: its artefacts, and within them theirs.
A document names itself after what it describes, not after chance, so that the same package has the same document.
"""
import datetime
import json
import subprocess
import uuid

from common import OWN_LICENSE, SUMMARY, sha256

WINDIVERT = "LGPL-3.0-or-later OR GPL-2.0-or-later"
WINDIVERT_FILES = ("bin/WinDivert.dll", "bin/WinDivert64.sys")
# Debian's packages of the compiler whose run-time parts are linked in.
RUNTIME = (
    ("mingw-w64-x86-64-dev", "mingw-w64 headers and C run-time start-up code", "ZPL-2.1"),
    ("gcc-mingw-w64-x86-64-win32-runtime", "GCC run-time library (libgcc)", "GPL-3.0-or-later WITH GCC-exception-3.1"),
)


def _license(expression):
    return [{"expression": expression}]


def _hashes(path):
    return [{"alg": "SHA-256", "content": sha256(path)}]


def _windivert(stage):
    parts = [{"type": "file", "bom-ref": f"file:{name}", "name": name, "licenses": _license(WINDIVERT),
              "hashes": _hashes(stage / name)} for name in WINDIVERT_FILES]
    return {
        "type": "library", "bom-ref": "windivert", "name": "WinDivert", "version": "2.2.2",
        "description": "User-mode packet capture and diversion for Windows: DLL and signed driver, x64, unchanged",
        "licenses": _license(WINDIVERT), "purl": "pkg:github/basil00/WinDivert@v2.2.2",
        "externalReferences": [
            {"type": "website", "url": "https://reqrypt.org/windivert.html"},
            {"type": "vcs", "url": "https://github.com/basil00/WinDivert"},
        ],
        "components": parts,
    }


def _runtime():
    for package, text, license_expression in RUNTIME:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True,
                              check=True)
        yield {"type": "library", "bom-ref": package, "name": package, "version": done.stdout, "description": text,
               "licenses": _license(license_expression), "purl": f"pkg:deb/debian/{package}@{done.stdout}"}


def _files(stage, names):
    """What is in a tree, but WinDivert's files, which stand under WinDivert."""
    return [{"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(stage / name)}
            for name in names if name not in WINDIVERT_FILES]


def contents(stage, names):
    """The components of an artefact that has these files of the tree."""
    windivert = [_windivert(stage)] if set(WINDIVERT_FILES) <= set(names) else []
    return [*windivert, *_runtime(), *_files(stage, names)]


def _document(context, components, dependencies):
    timestamp = datetime.datetime.fromtimestamp(context.epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    fingerprint = json.dumps([timestamp, components])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, fingerprint)}",
        "metadata": {
            "timestamp": timestamp,
            "component": {"type": "library", "bom-ref": "windows-redirector", "name": "windows-redirector",
                          "version": context.version, "licenses": _license(OWN_LICENSE), "description": SUMMARY},
        },
        "components": components,
        "dependencies": [{"ref": "windows-redirector", "dependsOn": dependencies}],
    }


def of_package(context, names):
    """The document that lies in the tree, of its files."""
    components = contents(context.stage, names)
    return _document(context, components, [part["bom-ref"] for part in components if part["type"] != "file"])


def _within(artefact, component):
    """The component with names that are its own in a document with many artefacts."""
    inner = [_within(artefact, part) for part in component.get("components", ())]
    named = dict(component, **{"bom-ref": f"{artefact}/{component.get('bom-ref', component['name'])}"})
    return dict(named, components=inner) if inner else named


def of_release(context, made):
    """The document of all artefacts, each with what is in it. made: (paths, components) of each maker."""
    artefacts = []
    for paths, components in made:
        for index, path in enumerate(paths):
            artefact = {"type": "file", "bom-ref": path.name, "name": path.name, "version": context.version,
                        "hashes": _hashes(path), "licenses": _license(OWN_LICENSE)}
            if components and index == 0:
                artefact["components"] = [_within(path.name, part) for part in components]
            artefacts.append(artefact)
    return _document(context, artefacts, [artefact["bom-ref"] for artefact in artefacts])
