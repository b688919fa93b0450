# SPDX-License-Identifier: LGPL-3.0-or-later
"""What package managers of Windows want: a manifest for scoop (of the zip), manifests for winget and a package for
Chocolatey (of the MSI). None of them has the program inside: each names the release's file and its hash. A maintainer
hands them in once the release is published (README.md).
"""
import json
import re
import uuid
from xml.sax.saxutils import escape

import msi
import nuget
from common import OWN_LICENSE, SUMMARY, URL, sha256

NAME = "windows-redirector"
WINGET = f"{NAME}.{NAME}"
WINGET_SCHEMA = "1.10.0"
DESCRIPTION = (f"{SUMMARY}, without the programs knowing; the proxy asks where each connection was going and which "
               "process opened it. A program with a proxy of its own, a C library, and what is needed to build with "
               "it. It contains WinDivert 2.2.2, whose driver Windows loads when an administrator first uses it.")
WORDS = re.compile(r"[A-Za-z][A-Za-z0-9./-]*( [A-Za-z0-9./-]+)*")
TAGS = ("network", "proxy", "redirect", "tcp", "windivert")


def scoop(context, archive):
    asset = context.asset(archive.name)
    manifest = {
        "version": context.version,
        "description": SUMMARY,
        "homepage": URL,
        "license": OWN_LICENSE,
        "notes": "It has to be run as administrator, for WinDivert's driver. Begin with: redirector doctor",
        "architecture": {"64bit": {"url": asset, "hash": sha256(archive), "extract_dir": archive.stem}},
        "bin": "bin\\redirector.exe",
        "pre_uninstall": "& \"$dir\\bin\\redirector.exe\" unload",  # the driver's file would be in use
        "checkver": "github",
        "autoupdate": {"architecture": {"64bit": {
            "url": asset.replace(context.version, "$version"),
            "extract_dir": archive.stem.replace(context.version, "$version"),
            "hash": {"url": f"{URL}/releases/download/v$version/SHA256SUMS"}}}},
    }
    return {f"{NAME}.json": json.dumps(manifest, indent=4) + "\n"}


def yaml(value, indent=""):
    """The lines of a value; texts that could be read as something else are quoted."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                yield f"{indent}{key}:"
                yield from yaml(inner, indent if isinstance(inner, list) else indent + "  ")
            else:
                yield f"{indent}{key}: {scalar(inner)}"
    else:
        for item in value:
            lines = list(yaml(item, indent + "  ")) if isinstance(item, dict) else [f"{indent}  {scalar(item)}"]
            yield f"{indent}- {lines[0].removeprefix(indent + '  ')}"
            yield from lines[1:]


def scalar(text):
    plain = WORDS.fullmatch(text) and text.lower() not in ("yes", "no", "on", "off", "true", "false", "null")
    return text if plain else json.dumps(text)


def winget(context, installer):
    """https://aka.ms/winget-manifest: version, installer, and texts in the default language."""
    def manifest(kind, fields):
        content = {"PackageIdentifier": WINGET, "PackageVersion": context.version, **fields, "ManifestType": kind,
                   "ManifestVersion": WINGET_SCHEMA}
        schema = f"https://aka.ms/winget-manifest.{kind.lower()}.{WINGET_SCHEMA}.schema.json"
        return "\n".join((f"# yaml-language-server: $schema={schema}", "", *yaml(content))) + "\n"
    code = msi.product_code(context.version)
    return {
        f"{WINGET}.yaml": manifest("version", {"DefaultLocale": "en-US"}),
        f"{WINGET}.installer.yaml": manifest("installer", {
            "Platform": ["Windows.Desktop"],
            "MinimumOSVersion": "10.0.0.0",
            "InstallerType": "msi",
            "Scope": "machine",
            "InstallModes": ["interactive", "silent", "silentWithProgress"],
            "UpgradeBehavior": "install",
            "Commands": ["redirector"],
            "Installers": [{
                "Architecture": "x64",
                "InstallerUrl": context.asset(installer.name),
                "InstallerSha256": sha256(installer).upper(),
                "ProductCode": code,
                "AppsAndFeaturesEntries": [{"DisplayName": NAME, "Publisher": NAME, "ProductCode": code,
                                            "UpgradeCode": msi.UPGRADE_CODE}],
            }],
        }),
        f"{WINGET}.locale.en-US.yaml": manifest("defaultLocale", {
            "PackageLocale": "en-US",
            "Publisher": NAME,
            "PublisherUrl": URL,
            "PublisherSupportUrl": f"{URL}/issues",
            "PackageName": NAME,
            "PackageUrl": URL,
            "License": OWN_LICENSE,
            "LicenseUrl": f"{URL}/blob/v{context.version}/COPYING.LESSER",
            "ShortDescription": SUMMARY,
            "Description": DESCRIPTION,
            "Moniker": "redirector",
            "Tags": list(TAGS),
            "ReleaseNotesUrl": f"{URL}/blob/v{context.version}/CHANGELOG.md",
        }),
    }


def nuspec(context):
    fields = {
        "id": NAME, "version": context.version, "title": NAME, "authors": NAME, "owners": NAME,
        "projectUrl": URL, "packageSourceUrl": f"{URL}/tree/v{context.version}/packaging",
        "projectSourceUrl": f"{URL}.git", "docsUrl": f"{URL}/tree/v{context.version}/docs",
        "bugTrackerUrl": f"{URL}/issues",
        "licenseUrl": f"{URL}/blob/v{context.version}/COPYING.LESSER", "requireLicenseAcceptance": "false",
        "tags": " ".join(TAGS), "summary": SUMMARY, "description": DESCRIPTION,
        "releaseNotes": f"{URL}/blob/v{context.version}/CHANGELOG.md",
    }
    lines = "".join(f"    <{key}>{escape(value)}</{key}>\n" for key, value in fields.items())
    return (f'{nuget.XML}<package xmlns="http://schemas.microsoft.com/packaging/2015/06/nuspec.xsd">\n'
            f"  <metadata>\n{lines}  </metadata>\n</package>\n")


def install_script(context, installer):
    """Chocolatey removes by itself what an MSI has put among the installed programs, so there is no other script."""
    return f"""$ErrorActionPreference = 'Stop'
$arguments = @{{
  packageName    = $env:ChocolateyPackageName
  fileType       = 'msi'
  url64bit       = '{context.asset(installer.name)}'
  checksum64     = '{sha256(installer)}'
  checksumType64 = 'sha256'
  silentArgs     = '/qn /norestart'
  validExitCodes = @(0, 1641, 3010)
}}
Install-ChocolateyPackage @arguments
"""


def core_properties(context):
    return (f'{nuget.XML}<coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/" '
            f'xmlns="{nuget.CONVENTIONS}/metadata/core-properties">\n'
            f"  <dc:creator>{NAME}</dc:creator>\n  <dc:description>{escape(DESCRIPTION)}</dc:description>\n"
            f"  <dc:identifier>{NAME}</dc:identifier>\n  <version>{context.version}</version>\n"
            f"  <keywords>{' '.join(TAGS)}</keywords>\n</coreProperties>\n")


def chocolatey(context, installer, target):
    core = f"package/services/metadata/core-properties/{uuid.uuid5(msi.NAMESPACE, 'core/' + context.version).hex}.psmdcp"
    parts = {
        f"{NAME}.nuspec": nuspec(context),
        "tools/chocolateyinstall.ps1": install_script(context, installer),
        core: core_properties(context),
    }
    files = {name: text.encode() for name, text in parts.items()}
    nuget.write_package(target, files, context.epoch, f"{NAME}.nuspec", core)


def make(context):
    archive, installer = (context.dist / f"{context.stage.name}.{kind}" for kind in ("zip", "msi"))
    paths = []
    for name, text in {**scoop(context, archive), **winget(context, installer)}.items():
        paths.append(context.dist / name)
        paths[-1].write_text(text, encoding="utf-8")
    paths.append(context.dist / f"{NAME}.{context.version}.nupkg")
    chocolatey(context, installer, paths[-1])
    return paths, []
