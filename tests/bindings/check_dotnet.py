# SPDX-License-Identifier: LGPL-3.0-or-later
"""dotnet/WindowsRedirector.cs: its declarations field by field against the header, and every call against the stand-in. The
package: installed by a genuine NuGet, built by a genuine (x)build, and the program of docs/install.md run."""
import os
import re
import subprocess
import zipfile
import xml.etree.ElementTree

import crates
from crates import ROOT, Context
import dotnet as dotnet_package

SOURCE = ROOT / "dotnet" / "WindowsRedirector.cs"
LAYOUT = ROOT / "tests" / "abi" / "layout.h"
# The bytes of C arrays, by the fields that stand for them. redirector_error is read by offsets.
PARTS = ("first", "second", "third", "fourth")
ARRAYS = {("WinDest", "dest_ip6"): 16, ("redirector_address", "bytes"): 16, ("redirector_rule", "network"): 16}


def entries(name):
    """The entries of one list of tests/abi/layout.h, which the compiler has checked against the header (suite abi)."""
    text = re.search(rf"^#define LAYOUT_{name}\(X\)(.*?)(?=\n\n|\n#)", LAYOUT.read_text(encoding="utf-8"), re.M | re.S)[1]
    return [re.split(r", *", entry) for entry in re.findall(r"X\(([^)]*)\)", text)]


def wanted_layout():
    lines = {f"{name} . {size} 0" for name, size in entries("STRUCTS") if name != "redirector_error"}
    for name, member, offset, size in entries("MEMBERS"):
        if name == "redirector_error":
            continue
        if (name, member) in ARRAYS:
            lines.update(f"{name} {member}_{part} {int(offset) + 4 * i} 4" for i, part in enumerate(PARTS))
        else:
            lines.add(f"{name} {member} {offset} {size}")
    return lines


def wanted_numbers():
    kinds = {"ACCEPT": "Decision", "REFUSE": "Decision", "PASS": "Decision", "DROP": "Decision", "RUNNING": "State",
             "STOPPED": "State", "FAILED": "State", "TCP": "Protocol", "UDP": "Protocol"}
    lines = {"RedirectorFlags None = 0"}

    def camel(words):
        return "".join(word.capitalize() for word in words.split("_"))
    lines.update(f"RedirectorFlags {camel(name)} = {number}" for name, number in entries("FLAGS"))
    for name, number in entries("NUMBERS"):
        if name.startswith("LOG_"):
            kind, name = "LogLevel", name[4:]
        elif name.startswith("FLOW_"):
            kind, name = "FlowKind" if name in ("FLOW_OUTGOING", "FLOW_INCOMING") else "FlowState", name[5:]
        else:
            kind = kinds[name]
        lines.add(f"Redirector{kind} {camel(name)} = {number}")
    header = (ROOT / "include" / "windows_redirector.h").read_text(encoding="utf-8")
    for kind, enum in (("RuleAction", "rule_action"), ("Direction", "direction")):
        body = re.search(rf"enum redirector_{enum} {{(.*?)}};", header, re.S)[1]
        lines.update(f"Redirector{kind} {camel(name)} = {number}"
                     for name, number in re.findall(r"REDIRECTOR_(?:RULE_)?(\w+) += (\d)", body))
    return lines


def check_declarations(checks, program):
    output = checks.command(".NET: its structures are blittable", ["mono", program, "layout"]) or ""
    found = {line for line in output.splitlines() if " = " not in line}
    checks.check(found == wanted_layout() and len(found) > 100, ".NET: each structure and field as in the header",
                 sorted(found ^ wanted_layout()))
    numbers = {line for line in output.splitlines() if " = " in line}
    checks.check(numbers == wanted_numbers(), ".NET: each number as in the header", sorted(numbers ^ wanted_numbers()))
    source = SOURCE.read_text(encoding="utf-8")
    sizes = {name: int(size) for name, size in entries("STRUCTS")}
    offsets = {member: int(offset) for name, member, offset, _ in entries("MEMBERS") if name == "redirector_error"}
    wanted = [str(number) for number in (sizes["redirector_error"], offsets["code"], offsets["os_error"], offsets["text"])]
    checks.check(re.findall(r"const int (?:SizeOf|OffsetOf)Error\w* = (\d+);", source) == wanted,
                 ".NET: the offsets of redirector_error")
    exports = {line.strip() for line in (ROOT / "tests" / "abi" / "exports.txt").read_text(encoding="utf-8").splitlines()
               if re.fullmatch(r"\w+", line.strip())}
    declared = set(re.findall(r"static extern \w+ (\w+)\(", source))
    checks.check(declared == exports - {"free_windest"}, ".NET: declares every call", sorted(declared ^ exports))
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "include" / "windows_redirector.h").read_text(encoding="utf-8"), flags=re.S)
    wrong = []
    for name, arguments in re.findall(r"static extern \w+ (\w+)\(([^)]*)\)", source):
        theirs = re.search(rf"\b{name}\s*\(([^)]*)\);", header)[1].strip()
        count = [0 if text.strip() in ("", "void") else text.replace("[In, Out]", "").count(",") + 1 for text in (arguments, theirs)]
        if count[0] != count[1]:
            wrong.append(f"{name}: {count[0]} arguments, not {count[1]}")
    checks.check(not wrong, ".NET: the number of arguments of each", wrong)


def check_calls(checks, program):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(checks.folder), WANTED_VERSION=crates.version())
    done = subprocess.run(["mono", str(program)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
    for line in lines:
        checks.check(line.startswith("ok "), line.split(" ", 1)[1])
    checks.check(done.returncode == 0 and len(lines) >= 25, ".NET: all calls were made", done.stdout)


def make_package(folder):
    """Of files that are not the real ones, so that nothing has to be built."""
    stage, dist = folder / "stage", folder / "packages"
    for name in (*dotnet_package.NATIVE, "licenses/COPYING.LESSER", "licenses/WinDivert/NOTICE.txt", "licenses/mingw-w64/copyright"):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_text(f"this stands for {name}\n", encoding="utf-8")
    dist.mkdir()
    return dotnet_package.make(Context(ROOT, dist, stage, crates.version(), 1_700_000_000))[0][0]


def check_package(checks):
    package = make_package(checks.folder / "dotnet")
    other = checks.folder / "dotnet again"
    old = os.umask(0o077)
    again = make_package(other)
    os.umask(old)
    checks.check(package.read_bytes() == again.read_bytes(), f".NET: {package.name} is the same, made again")
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        types = xml.etree.ElementTree.fromstring(archive.read("[Content_Types].xml"))
        relations = xml.etree.ElementTree.fromstring(archive.read("_rels/.rels"))
    known = {f".{part.get('Extension')}" for part in types if part.get("Extension")}
    parts = {part.get("PartName") for part in types}
    untyped = [name for name in names[1:] if os.path.splitext(f"x{os.path.basename(name)}")[1] not in known
               and f"/{name}" not in parts]
    checks.check(not untyped, ".NET: every file of the package has a content type", untyped)
    targets = [relation.get("Target") for relation in relations]
    checks.check([target[1:] in names for target in targets] == [True], ".NET: its relation names the manifest", targets)
    return package


PROJECT = """<Project ToolsVersion="4.0" DefaultTargets="Build" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <OutputType>Exe</OutputType><AssemblyName>watch</AssemblyName><OutputPath>out/</OutputPath>
    <TargetFrameworkVersion>v4.5</TargetFrameworkVersion><PlatformTarget>x64</PlatformTarget>
  </PropertyGroup>
  <ItemGroup><Reference Include="System" /><Compile Include="Program.cs" /></ItemGroup>
  <Import Project="$(MSBuildToolsPath)/Microsoft.CSharp.targets" />
  <Import Project="packages/WindowsRedirector.VERSION/build/WindowsRedirector.targets" />
</Project>
"""
# Debian has no reference assemblies: the compiler finds those of mono by itself.
FRAMEWORK = "/property:NoCompilerStandardLib=false"
# What stands for a redirected program: it comes by itself.
VISITOR = "import socket; socket.create_connection(('127.0.0.1', 8080)).recv(1)"


def check_use(checks, package):
    """A stranger's project, by the words of docs/install.md."""
    folder = checks.folder / "stranger"
    folder.mkdir()
    (folder / package.name).write_bytes(package.read_bytes())
    environment = dict(os.environ, HOME=str(folder), LD_LIBRARY_PATH=str(checks.folder), MOCK_DESTINATION="4711",
                       MOCK_PORT=str(folder / "port"))
    section = crates.section(".NET")
    output = checks.command(".NET: docs/install.md: NuGet installs the package", ["sh", "-ec", crates.block(section, "sh")],
                            cwd=folder, env=environment)
    installed = folder / "packages" / package.name.removesuffix(".nupkg")
    checks.check((installed / "source" / "WindowsRedirector.cs").is_file(), ".NET: and it is there", output)
    (folder / "Program.cs").write_text(crates.block(section, "csharp"), encoding="utf-8")
    (folder / "watch.csproj").write_text(PROJECT.replace("VERSION", crates.version()), encoding="utf-8")
    built = checks.command(".NET: a project with the package and the program of docs/install.md builds",
                           ["xbuild", "/nologo", "/verbosity:quiet", FRAMEWORK, "watch.csproj"], cwd=folder, env=environment)
    if built is None:
        return
    beside = {path.name: path.read_text(encoding="utf-8") for path in (folder / "out").glob("*") if "watch" not in path.name}
    wanted = {os.path.basename(name): f"this stands for {name}\n" for name in dotnet_package.NATIVE}
    checks.check(beside == wanted, ".NET: DLLs and driver are put beside the program", beside)
    run = f"ip link set lo up && exec timeout 60 mono out/watch.exe python3 \"-c \\\"{VISITOR}\\\"\""
    said = checks.command(".NET: that program runs", ["unshare", "--net", "--map-root-user", "sh", "-ec", run], cwd=folder,
                          env=environment)
    checks.check(said == "process 1004 was on its way to 127.0.0.1:4711\n", ".NET: and says what it has to", said)


def check_all(checks):
    program = checks.folder / "calls.exe"
    # C# 5 is what the compiler of .NET Framework knows that every Windows has.
    built = checks.command(".NET: compiles as C# 5, without a warning",
                           ["mcs", "-langversion:5", "-warn:4", "-warnaserror", "-r:System.Core.dll", f"-out:{program}", SOURCE,
                            ROOT / "tests" / "bindings" / "Calls.cs"])
    if built is not None:
        check_declarations(checks, program)
        check_calls(checks, program)
    check_use(checks, check_package(checks))
