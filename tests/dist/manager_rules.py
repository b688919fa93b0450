# SPDX-License-Identifier: LGPL-3.0-or-later
"""What package managers get: right by their rules, and right about the release.

The schemas of scoop and winget are in their repositories alone, in no package that could be pinned, so what is here are
rules of our own after those that are published: for scoop its schema.json, for winget the schemas 1.10.0, for Chocolatey
NuGet's nuspec and the requirements of its package validator (CPMR...). They are stricter: nothing but what is known.
"""
import copy
import hashlib
import io
import json
import re
import xml.etree.ElementTree as xml
import zipfile

URL = r"^https://[^\s$]+$"
GUID = r"^\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}$"
TEXT = {"type": "string", "minLength": 3, "maxLength": 256}
NUSPEC = "{http://schemas.microsoft.com/packaging/2015/06/nuspec.xsd}"


def record(required, **optional):
    """Of an object with these keys and no others."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional},
            "additionalProperties": False}


def text(pattern):
    return {"type": "string", "pattern": pattern}


def listed(item):
    return {"type": "array", "items": item, "minItems": 1, "maxItems": 16, "uniqueItems": True}


SCOOP_64 = record({"url": text(URL), "hash": text("^[0-9a-f]{64}$"), "extract_dir": TEXT})
SCOOP = record(
    {"version": text(r"^[\w.+-]+$"), "homepage": text(URL), "license": TEXT, "description": TEXT,
     "architecture": record({"64bit": SCOOP_64}), "bin": text(r"\.exe$")},
    notes=TEXT, pre_uninstall=TEXT, checkver=text("^github$"),
    autoupdate=record({"architecture": record({"64bit": record(
        {"url": text(r"^https://.*\$version"), "extract_dir": text(r"\$version"),
         "hash": record({"url": text(r"^https://.*\$version")})})})}))

WINGET = {"PackageIdentifier": text(r"^[^.\s\\/:*?\"<>|]{1,32}(\.[^.\s\\/:*?\"<>|]{1,32}){1,7}$"),
          "PackageVersion": {**text(r"^[^\\/:*?\"<>|\x01-\x1f]+$"), "maxLength": 128}, "ManifestVersion": text(r"^1\.10\.0$")}
WINGET_KINDS = {
    "": record({**WINGET, "ManifestType": text("^version$"), "DefaultLocale": text("^en-US$")}),
    ".installer": record({
        **WINGET, "ManifestType": text("^installer$"), "Platform": listed(text(r"^Windows\.Desktop$")),
        "MinimumOSVersion": text(r"^10\.0(\.\d+){2}$"), "InstallerType": text("^msi$"), "Scope": text("^machine$"),
        "InstallModes": listed(text("^(interactive|silent|silentWithProgress)$")), "UpgradeBehavior": text("^install$"),
        "Commands": listed({"type": "string", "minLength": 1, "maxLength": 40}),
        "Installers": listed(record({
            "Architecture": text("^x64$"), "InstallerUrl": text(URL), "InstallerSha256": text("^[0-9A-F]{64}$"),
            "ProductCode": text(GUID), "AppsAndFeaturesEntries": listed(record({
                "DisplayName": TEXT, "Publisher": TEXT, "ProductCode": text(GUID), "UpgradeCode": text(GUID)}))}))}),
    ".locale.en-US": record({
        **WINGET, "ManifestType": text("^defaultLocale$"), "PackageLocale": text("^en-US$"), "Publisher": TEXT,
        "PublisherUrl": text(URL), "PublisherSupportUrl": text(URL), "PackageName": TEXT, "PackageUrl": text(URL),
        "License": TEXT, "LicenseUrl": text(URL), "ShortDescription": TEXT, "Description": {**TEXT, "maxLength": 10000},
        "Moniker": {**TEXT, "maxLength": 40}, "Tags": listed({**TEXT, "maxLength": 40}), "ReleaseNotesUrl": text(URL)}),
}
CHOCOLATEY = record(
    {"id": text(r"^[a-z0-9]+(-[a-z0-9]+)*$"), "version": text(r"^\d+\.\d+\.\d+$"), "title": TEXT, "authors": TEXT,
     "owners": TEXT, "projectUrl": text(URL), "packageSourceUrl": text(URL), "projectSourceUrl": text(URL),
     "docsUrl": text(URL), "bugTrackerUrl": text(URL), "licenseUrl": text(URL),
     "requireLicenseAcceptance": text("^false$"), "tags": text("^[a-z0-9-]+( [a-z0-9-]+)*$"), "summary": TEXT,
     "description": {"type": "string", "minLength": 30, "maxLength": 4000}, "releaseNotes": text(URL)})


def errors(schema, document):
    import jsonschema  # not before: packaging/tools.sh may have to fetch it first
    return [f"{'/'.join(map(str, error.path))}: {error.message}"
            for error in jsonschema.Draft7Validator(schema).iter_errors(document)]


def each_rule_can_fail(schema, document):
    """Every key that the schema requires is missed, every text that is wrong is seen; what is not seen."""
    unseen = []
    for key in schema["required"]:
        without = {name: value for name, value in document.items() if name != key}
        if not errors(schema, without) or not errors(schema, dict(document, **{key: "\n"})):
            unseen.append(key)
    return unseen + ([] if errors(schema, dict(document, gadget="x")) else ["gadget"])


def nuspec_fields(data):
    metadata = xml.fromstring(data).find(f"{NUSPEC}metadata")
    return {field.tag.removeprefix(NUSPEC): field.text for field in metadata}


class Managers:
    """made: name: bytes, of all artefacts. check: as in run."""

    def __init__(self, made, version, check):
        self.made, self.version, self.check = made, version, check
        self.zip, self.msi = (f"windows-redirector-{version}-win64.{kind}" for kind in ("zip", "msi"))

    def hash(self, name):
        return hashlib.sha256(self.made[name]).hexdigest()

    def asset(self, name):
        return f"https://github.com/windows-redirector/windows-redirector/releases/download/v{self.version}/{name}"

    def rules(self, who, schema, document):
        found = errors(schema, document)
        self.check(not found, f"{who}: follows the rules", found)
        unseen = each_rule_can_fail(schema, document)
        self.check(not unseen, f"{who}: and each rule notices what does not", unseen)

    def check_scoop(self):
        manifest = json.loads(self.made["windows-redirector.json"])
        self.rules("scoop", SCOOP, manifest)
        folder = self.zip.removesuffix(".zip")
        wanted = {"url": self.asset(self.zip), "hash": self.hash(self.zip), "extract_dir": folder}
        self.check(manifest["architecture"]["64bit"] == wanted and manifest["version"] == self.version,
                   "scoop: names the release's zip and its hash", manifest)
        with zipfile.ZipFile(io.BytesIO(self.made[self.zip])) as package:
            program = f"{wanted['extract_dir']}/{manifest['bin']}".replace("\\", "/")
            self.check(program in package.namelist(), "scoop: the program is where it says", program)
        later = copy.deepcopy(manifest["autoupdate"]["architecture"]["64bit"])
        self.check(later["url"].replace("$version", self.version) == wanted["url"] and
                   later["extract_dir"].replace("$version", self.version) == wanted["extract_dir"],
                   "scoop: later versions are found in the same way", later)

    def check_winget(self, product_code, upgrade_code):
        from ruamel.yaml import YAML
        name = "windows-redirector.windows-redirector"
        manifests = {kind: YAML(typ="safe", pure=True).load(self.made[f"{name}{kind}.yaml"]) for kind in WINGET_KINDS}
        for kind, schema in WINGET_KINDS.items():
            self.rules(f"winget{kind}", schema, manifests[kind])
        self.check(all(m["PackageIdentifier"] == name and m["PackageVersion"] == self.version
                       for m in manifests.values()), "winget: all three are of one package and version", manifests)
        installer, = manifests[".installer"]["Installers"]
        self.check((installer["InstallerUrl"], installer["InstallerSha256"].lower()) ==
                   (self.asset(self.msi), self.hash(self.msi)), "winget: names the release's MSI and its hash", installer)
        entry, = installer["AppsAndFeaturesEntries"]
        codes = (installer["ProductCode"], entry["ProductCode"], entry["UpgradeCode"])
        self.check(codes == (product_code, product_code, upgrade_code), "winget: has the codes that are in the MSI", codes)

    def check_chocolatey(self):
        with zipfile.ZipFile(io.BytesIO(self.made[f"windows-redirector.{self.version}.nupkg"])) as package:
            parts = {name: package.read(name).decode() for name in package.namelist()}
        fields = nuspec_fields(parts["windows-redirector.nuspec"])
        self.rules("Chocolatey", CHOCOLATEY, fields)
        self.check(fields["version"] == self.version, "Chocolatey: version", fields)
        targets = [relation.get("Target").removeprefix("/") for relation in xml.fromstring(parts["_rels/.rels"])]
        self.check(len(targets) == 2 and set(targets) <= set(parts), "Chocolatey: each relation leads to a part", targets)
        known = {kind.get("Extension") for kind in xml.fromstring(parts["[Content_Types].xml"])}
        self.check({name.rsplit(".", 1)[1] for name in parts} - {"xml"} == known, "Chocolatey: each part's kind is named",
                   known)
        script = parts["tools/chocolateyinstall.ps1"]
        values = dict(re.findall(r"^ +(\w+) += (?:'(.*)'|.*)$", script, re.M))
        self.check((values.get("url64bit"), values.get("checksum64"), values.get("checksumType64"),
                    values.get("fileType")) == (self.asset(self.msi), self.hash(self.msi), "sha256", "msi"),
                   "Chocolatey: the script names the release's MSI and its hash", script)
        self.check(script.endswith("\nInstall-ChocolateyPackage @arguments\n") and
                   all(script.count(a) == script.count(b) for a, b in ("{}", "()")),
                   "Chocolatey: the script installs it", script)
