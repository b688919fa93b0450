# SPDX-License-Identifier: LGPL-3.0-or-later
"""What is in the package, for programs: a CycloneDX 1.5 document (https://cyclonedx.org).

Components: WinDivert, which is another project's work; the parts of mingw-w64 and GCC that the linker puts into every
Windows program; and each file, with its hash. The document names itself after what it describes, not after chance, so
that the same package has the same document.
"""
import datetime
import hashlib
import json
import subprocess
import uuid

OWN = "LGPL-3.0-or-later"
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
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


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


def describe(stage, names, version, epoch):
    """The document, for the files `names` in the folder `stage`."""
    components = [_windivert(stage), *_runtime()]
    dependencies = [part["bom-ref"] for part in components]
    for name in names:
        if name not in WINDIVERT_FILES:
            components.append({"type": "file", "bom-ref": f"file:{name}", "name": name,
                               "hashes": _hashes(stage / name)})
    timestamp = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    fingerprint = json.dumps([timestamp, components])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, fingerprint)}",
        "metadata": {
            "timestamp": timestamp,
            "component": {"type": "library", "bom-ref": "windows-redirector", "name": "windows-redirector",
                          "version": version, "licenses": _license(OWN),
                          "description": "Leads the TCP connections of a process tree through a local proxy"},
        },
        "components": components,
        "dependencies": [{"ref": "windows-redirector", "dependsOn": dependencies}],
    }
