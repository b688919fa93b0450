# SPDX-License-Identifier: LGPL-3.0-or-later
"""windows-redirector-VERSION-win64.msi: the whole tree in Program Files, its bin/ in PATH, doctor in the start menu.

Made by wixl of msitools, and what wixl cannot say by msibuild. For all users; a later version replaces an earlier one.
Before files are removed, "redirector unload" stops the driver, whose file is locked as long as it is loaded; if that fails,
or another program uses the driver, Windows removes the file at the next start (installers end with 3010 then).

Codes: the same UpgradeCode for ever, a ProductCode for each version, a PackageCode for each content, component codes
for each place. All are named after what they stand for, so the same content gives the same file. Windows Installer
overwrites a file only if the new one has no lower version, and what a file's version is it has to be told: versions().
"""
import datetime
import hashlib
import os
import pathlib
import re
import shutil
import struct
import tempfile
import uuid
import xml.etree.ElementTree as xml

import pe
import sbom
from common import DistError, OWN_LICENSE, SUMMARY, URL, files_of, run, sha256, sign

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, URL)
UPGRADE_CODE = "{6234AECA-158A-5D96-9B74-700DEB989567}"  # never to be changed
SUMMARY_FORMAT = uuid.UUID("F29F85E0-4FF9-1068-AB91-08002B27B3D9").bytes_le
CREATED, SAVED, FILETIME = 12, 13, 64  # properties of the summary, and their type
EPOCH_1601_S = 11644473600
VERSION_MOST = (255, 255, 65535)
# Where actions stand among the standard ones: the old version goes before anything of the new one is there, which means
# that an installation that fails leaves none; the driver goes before files are removed (3500).
SEQUENCE = {"RemoveExistingProducts": 1450, "UnloadDriver": 3450}


def code(*parts):
    return "{" + str(uuid.uuid5(NAMESPACE, "/".join(parts))).upper() + "}"


def product_code(version):
    return code("product", version)


def identifier(name):
    """A name that tables can have, for a file or folder of the tree."""
    readable = re.sub(r"[^A-Za-z0-9.]", "_", name)[-40:]
    return f"_{hashlib.sha256(name.encode()).hexdigest()[:12]}_{readable}"


def node(parent, tag, **attributes):
    return xml.SubElement(parent, tag, {key: str(value) for key, value in attributes.items()})


def add_file(folder, feature, name):
    """A file is a component: its code stands for its place."""
    component = node(folder, "Component", Id=identifier(name), Guid=code("component", name), Win64="yes")
    file = node(component, "File", Id=identifier(name), Name=name.split("/")[-1], Source=f"tree/{name}", KeyPath="yes")
    node(feature, "ComponentRef", Id=identifier(name))
    return file


def add_tree(root_folder, feature, names):
    folders = {"": root_folder}
    for name in names:
        parts = name.split("/")[:-1]
        for depth, part in enumerate(parts):
            path, parent = "/".join(parts[:depth + 1]), "/".join(parts[:depth])
            if path not in folders:
                folders[path] = node(folders[parent], "Directory", Id=identifier(path + "/"), Name=part)
        file = add_file(folders["/".join(parts)], feature, name)
        if name == "bin/redirector.exe":
            node(file, "Shortcut", Id="DoctorShortcut", Directory="ProgramMenuFolder", Name="redirector doctor",
                 Target="[System64Folder]cmd.exe", Arguments=f'/k ""[#{identifier(name)}]" doctor"',
                 Description="Can this machine redirect? Run it as administrator", WorkingDirectory=identifier("bin/"))


def describe(version, names, package_code):
    """The input of wixl, which finds the files in the folder tree beside it."""
    root = xml.Element("Wix", xmlns="http://schemas.microsoft.com/wix/2006/wi")
    product = node(root, "Product", Id=product_code(version), Name="windows-redirector", Language=1033, Version=version,
                   Manufacturer="windows-redirector", UpgradeCode=UPGRADE_CODE)
    node(product, "Package", Id=package_code, InstallerVersion=500, Compressed="yes", InstallScope="perMachine",
         Description=f"windows-redirector {version}", Manufacturer="windows-redirector", Comments=OWN_LICENSE,
         Keywords="Installer")
    node(product, "MajorUpgrade", DowngradeErrorMessage="A later version of windows-redirector is installed.")
    node(product, "Media", Id=1, Cabinet="files.cab", EmbedCab="yes")
    condition = node(product, "Condition", Message="windows-redirector needs Windows 10 or 11, x64.")
    condition.text = "VersionNT64 AND VersionNT >= 603"  # the most that Windows tells installers is 603, since 8.1
    for name, value in (("ARPURLINFOABOUT", URL), ("ARPHELPLINK", f"{URL}/issues"), ("ARPCOMMENTS", SUMMARY),
                        ("ARPNOMODIFY", 1)):
        node(product, "Property", Id=name, Value=value)
    target = node(product, "Directory", Id="TARGETDIR", Name="SourceDir")
    programs = node(target, "Directory", Id="ProgramFiles64Folder")
    folder = node(programs, "Directory", Id="INSTALLFOLDER", Name="windows-redirector")
    node(target, "Directory", Id="ProgramMenuFolder")
    feature = node(product, "Feature", Id="Complete", Level=1, Title="windows-redirector")
    add_tree(folder, feature, names)
    node(product, "CustomAction", Id="UnloadDriver", FileKey=identifier("bin/redirector.exe"), ExeCommand="unload",
         Execute="deferred", Impersonate="no", Return="ignore")
    sequence = node(product, "InstallExecuteSequence")
    node(sequence, "Custom", Action="UnloadDriver", After="InstallInitialize").text = 'REMOVE="ALL"'
    return xml.tostring(root, encoding="utf-8", xml_declaration=True)


def versions(source, names):
    """SQL: the versions of the files that have one. Without it the installer would take an installed program, which
    has one, for the later file, and leave it there."""
    for name in names:
        found = pe.fixed_versions((source / name).read_bytes()) if name.endswith((".exe", ".dll", ".sys")) else None
        if found:
            yield f"UPDATE `File` SET `Version`='{found[0]}', `Language`='1033' WHERE `File`='{identifier(name)}'"
            yield f"DELETE FROM `MsiFileHash` WHERE `File_`='{identifier(name)}'"  # which is for files without


def queries(source, names):
    """What wixl does not do."""
    yield ("CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, "
           "`Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)")
    yield ("INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`) VALUES "  # = set, - remove, * machine
           f"('Path', '=-*PATH', '[~];[{identifier('bin/')}]', '{identifier('bin/redirector.exe')}')")
    for action, number in (("RemoveEnvironmentStrings", 3300), ("WriteEnvironmentStrings", 5200)):
        yield f"INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('{action}', {number})"
    for action, number in SEQUENCE.items():
        yield f"UPDATE `InstallExecuteSequence` SET `Sequence`={number} WHERE `Action`='{action}'"
    yield from versions(source, names)


def pin_times(path, epoch):
    """wixl writes the time of day into the summary, twice; here is SOURCE_DATE_EPOCH written over it."""
    data = bytearray(path.read_bytes())
    at = data.find(SUMMARY_FORMAT)
    start = data.rfind(b"\xfe\xff\x00\x00", 0, at)  # the stream begins with that; the section's offset follows the format
    if at < 0 or start < 0 or data.find(SUMMARY_FORMAT, at + 1) >= 0:
        raise DistError(f"{path.name}: not one summary")
    section = start + struct.unpack_from("<I", data, at + 16)[0]
    _, count = struct.unpack_from("<II", data, section)
    found = {number: section + offset for number, offset in
             (struct.unpack_from("<II", data, section + 8 + 8 * index) for index in range(min(count, 64)))}
    for number in (CREATED, SAVED):
        if number not in found or struct.unpack_from("<I", data, found[number])[0] != FILETIME:
            raise DistError(f"{path.name}: the summary has no time where one should be")
        struct.pack_into("<Q", data, found[number] + 4, (epoch + EPOCH_1601_S) * 10**7)
    path.write_bytes(data)


def check_times(path, epoch):
    said = run(["msiinfo", "suminfo", path], env={**os.environ, "TZ": "UTC", "LC_ALL": "C"})
    date = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%a %b %e %H:%M:%S %Y")
    if f"Created: {date}\n" not in said or f"Last saved: {date}\n" not in said:
        raise DistError(f"{path.name}: its times are not {date}: {said}")


def copy_dated(stage, target, names, epoch):
    """The tree with the times that go into the cabinet, which has them in steps of two seconds."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage / name, target / name)
        os.utime(target / name, (epoch // 2 * 2, epoch // 2 * 2))


def make_msi(path, stage, version, epoch):
    if any(int(part) > most for part, most in zip(version.split("."), VERSION_MOST)):
        raise DistError(f"version {version} is more than Windows Installer can tell apart (255.255.65535)")
    names = files_of(stage)
    package_code = code("package", version, str(epoch), *(f"{name}={sha256(stage / name)}" for name in names))
    environment = {**os.environ, "TZ": "UTC"}  # the cabinet has local times
    with tempfile.TemporaryDirectory(prefix="redirector-msi-") as folder:
        source = pathlib.Path(folder, "tree")
        copy_dated(stage, source, names, epoch)
        description = pathlib.Path(folder, "description.wxs")
        description.write_bytes(describe(version, names, package_code))
        run(["wixl", "--arch", "x64", "--output", path, description.name], env=environment, cwd=folder)
        changes = (word for query in queries(source, names) for word in ("-q", query))
        run(["msibuild", path, *changes], env=environment)
        run(["msibuild", path, "-s", f"windows-redirector {version}", "windows-redirector", "x64;1033", package_code],
            env=environment)
    pin_times(path, epoch)
    check_times(path, epoch)


def make(context):
    target = context.dist / f"{context.stage.name}.msi"
    make_msi(target, context.stage, context.version, context.epoch)
    sign(target)
    return [target], sbom.contents(context.stage, files_of(context.stage))
