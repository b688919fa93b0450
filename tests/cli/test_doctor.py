# SPDX-License-Identifier: LGPL-3.0-or-later
"""doctor: what it says of firewall and filters of others, and that its report tells nothing of anyone."""
import os
import re
import subprocess

import schema
from lab import expect, expect_equal

POLICY = r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall"
LOCAL = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
PROFILES = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList"


class Registry:
    """Values for the time of a test."""

    def __init__(self, t, *values):
        self.t, self.values = t, values

    def load(self, text_of):
        path = self.t.path("values.reg")
        with open(path, "w", encoding="utf-16") as file:
            file.write("Windows Registry Editor Version 5.00\r\n")
            for key, name, value in self.values:
                file.write(f'\r\n[{key.replace("HKLM", "HKEY_LOCAL_MACHINE")}]\r\n"{name}"={text_of(value)}\r\n')
        subprocess.run([self.t.wine, "reg", "import", "Z:" + path], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True)

    def __enter__(self):
        self.load(lambda value: f"dword:{value:08x}" if isinstance(value, int)
                  else '"' + value.replace("\\", "\\\\") + '"')

    def __exit__(self, *_):
        self.load(lambda value: "-")


def doctor(t, *words, wfp=(), **environment):
    """Its findings, with these rows in the filtering platform; the redirector does not start, which saves time."""
    rows = t.path("wfp")
    with open(rows, "w", encoding="utf-8") as file:
        file.writelines(row + "\n" for row in wfp)
    run = t.finish("doctor", "--json", *words, FAKE_START_ERROR="10", FAKE_WFP="Z:" + rows, **environment)
    expect_equal(run.status, 1, f"status; {run.err()}")
    return [schema.parse(line) for line in run.out().splitlines()]


def of(findings, what):
    return [(line["state"], line["detail"]) for line in findings if line["what"] == what]


def test_doctor_names_others_that_redirect(t):
    """Filters with a callout at the redirect layers, by provider; nothing else."""
    found = doctor(t, wfp=("filter|4|tcp4|Redirect Callout|Example Guard|exguard", "filter|6|tcp6||Example Guard|exguard",
                           "permit|4|lets pass||Harmless|", "filter|4|nameless|Lone Callout||",
                           "filter|bind6|split|Split Callout|Example VPN|", "filter|bind4|b||Example Guard|exguard"))
    expect_equal(of(found, "also redirects connections"),
                 [("note", "Example Guard (service exguard): IPv4 and IPv6"), ("note", "Lone Callout: IPv4")], "filters")
    expect_equal(of(found, "also moves sockets"),
                 [("note", "Example Guard (service exguard): IPv4"), ("note", "Example VPN: IPv6")], "of bind")
    expect(not any("Harmless" in str(line) or "another layer" in str(line) for line in found), f"too much: {found}")
    expect_equal(of(doctor(t), "others that redirect"), [("ok", "none")], "with nobody there")
    expect_equal(of(doctor(t, FAKE_WFP_DENIES="1"), "others that redirect"), [("note", "cannot be asked")], "denied")


def test_doctor_reads_the_firewall_of_each_profile(t):
    """Group policy wins over the machine's own settings; a firewall that is off blocks nothing."""
    with Registry(t, (LOCAL + r"\StandardProfile", "DefaultOutboundAction", 1),
                  (LOCAL + r"\PublicProfile", "DefaultOutboundAction", 1),
                  (LOCAL + r"\PublicProfile", "EnableFirewall", 0),
                  (POLICY + r"\DomainProfile", "DefaultOutboundAction", 1),
                  (POLICY + r"\DomainProfile", "EnableFirewall", 1)):
        found = doctor(t)
        expect_equal([of(found, f"outbound, {name} profile") for name in ("domain", "private", "public")],
                     [[("note", "blocked unless a rule allows it (by group policy)")],
                      [("note", "blocked unless a rule allows it (set on this machine)")], []], "profiles")
    with Registry(t, (LOCAL + r"\StandardProfile", "DefaultOutboundAction", 1),
                  (POLICY + r"\StandardProfile", "DefaultOutboundAction", 0),
                  (POLICY + r"\DomainProfile", "DefaultOutboundAction", 1),
                  (POLICY + r"\DomainProfile", "EnableFirewall", 0)):
        expect_equal(of(doctor(t), "outbound connections"),
                     [("ok", "allowed by default in each firewall profile")], "policy that allows")


# Each with what has to stand in its place, and what has to stay beside it.
PLANTED = (
    (r"C:\Users\Zaphod Beeblebrox\tools\WinDivert.dll", r"%USERPROFILE%\tools\WinDivert.dll"),
    (r"\Device\HarddiskVolume3\users\ZAPHOD~1\app.exe", r"\Device\HarddiskVolume3%USERPROFILE%\app.exe"),
    ("C:\\Users\\Зафод Библброкс\\AppData\\x.exe, C:/Users/Jürgen Groß/y",
     "%USERPROFILE%\\AppData\\x.exe, %USERPROFILE%/y"),
    (r"\\?\C:\Users\勇者\x and \\?\UNC\fileserver\Users\trish\x",
     r"\\?\%USERPROFILE%\x and \\?\UNC\<host>%USERPROFILE%\x"),
    ("by ТРИЛЛИАН, and ford", "by <user>, and ford"),
    (r"\\10.77.0.9\c$ and \\fileserver.corp.example.com\users\trish", r"\\<ipv4>\c$ and \\<host>%USERPROFILE%"),
    ("[fe80::1%eth0]:80, fe80::1%12:443 and fe80::a%wlp2s0.", "[<ipv6>]:80, <ipv6>:443 and <ipv6>."),
    ("made by zaphod beeblebrox himself", "made by <user> himself"),
    ("Trillian's filter", "<user>'s filter"),
    ("of TRILLIANSOFT", "of <user>SOFT"),
    ("for Heart of Gold Ltd", "for <owner>"),
    ("to 10.77.0.42:443, from 192.168.178.20", "to <ipv4>:443, from <ipv4>"),
    ("to [2a02:8388::17]:443 and fe80::1234:5678%12", "to [<ipv6>]:443 and <ipv6>"),
    ("addr:fd77::abcd, 2001:db8:1:2:3:4:5:6.", "addr:<ipv6>, <ipv6>."),
    ("::ffff:10.1.2.3 at 00-1A-2B-3C-4D-5E or 00:1a:2b:3c:4d:5e", "<ipv6> at <mac> or <mac>"),
    ("of S-1-5-21-1004336348-1177238915-682003330-512", "of <sid>"),
    ("tunnel to gw.corp.example.com:8443", "tunnel to <host>:8443"),
    (r"\\7fileserver\share, \Device\Mup\fileserver\x, https://local/",
     r"\\<host>\share, \Device\Mup\<host>\x, https://<host>/"),
    (r"\\.\pipe\x and http://localhost:80/", r"\\.\pipe\x and http://localhost:80/"),
    (r"\\fileserver\share\x.log", r"\\<host>\share\x.log"),
    ("see https://intranet/start", "see https://<host>/start"),
    ("mail tricia.m@mcmillan.example", "mail <mail>"),
    ("127.0.0.1:8080 [::1]:80 [::]:1 0.0.0.0 2.2.2 12:34:56 redirector.exe std::string",
     "127.0.0.1:8080 [::1]:80 [::]:1 0.0.0.0 2.2.2 12:34:56 redirector.exe std::string"),
)
SECRETS = ("zaphod", "beeblebrox", "trillian", "heart of gold", "10.77.0", "192.168.178", "2a02", "fd77", "fe80",
           "2001:", ":ffff", "10.1.2.3", "1a-2b", "1a:2b", "s-1-5", "gw.corp", "fileserver", "intranet", "tricia",
           "mcmillan", "зафод", "библброкс", "jürgen", "groß", "勇者", "trish", "триллиан", "eth0", "wlp2s0")


def names_of_this_machine(t):
    out = t.path("names")
    with open(out, "wb") as file:
        subprocess.run([t.wine, "cmd", "/c", "echo %COMPUTERNAME%& echo %USERNAME%"], stdin=subprocess.DEVNULL,
                       stdout=file, stderr=subprocess.DEVNULL, timeout=60, check=True)
    return [name.strip() for name in open(out, encoding="utf-8", errors="replace").read().splitlines()]


def test_report_tells_nothing_of_anyone(t):
    """Names and addresses are planted wherever text comes from others: log, filters, paths; none reaches the report."""
    with open(t.path("windows_redirector.log"), "w", encoding="utf-8") as log:
        log.writelines(f"{said}\n" for said, _ in PLANTED)
    lines = t.path("log")
    machine = [f"this is {name}." for name in names_of_this_machine(t)]
    with open(lines, "w", encoding="utf-8") as log:
        log.writelines(f"{said}\n" for said in [said for said, _ in PLANTED] + machine)
    wfp = [f"filter|4|{said}|callout {said}|provider {said}|" for said, _ in PLANTED]
    person = PROFILES + r"\S-1-5-21-1-2-3-"
    with Registry(t, (person + "1001", "ProfileImagePath", r"C:\Users\Zaphod Beeblebrox"),
                  (person + "1002", "ProfileImagePath", r"D:\Trillian"),
                  (person + "1003", "ProfileImagePath", r"D:\Триллиан"),
                  (r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion", "RegisteredOwner", "Heart of Gold Ltd")):
        found = doctor(t, "--report", "out.txt", "--windivert", r"C:\Users\Zaphod Beeblebrox\tools", wfp=wfp,
                       FAKE_LOG="Z:" + lines)
    with open(t.path("out.json"), encoding="utf-8") as file:
        text = file.read()
    report = schema.parse_report(text)
    with open(t.path("out.txt"), encoding="utf-8") as file:
        plain = file.read()
    expect(os.listdir(t.folder).count("out.txt") == 1 and "out.txt.txt" not in os.listdir(t.folder), "files' names")
    for whole in (text, plain):
        kept = [secret for secret in SECRETS if secret in whole.lower()]
        expect(not kept, f"the report tells {kept}: "
               f"{[line for line in whole.splitlines() if any(secret in line.lower() for secret in kept)]}")
    wanted = [instead for _, instead in PLANTED]
    expect_equal([row["line"] for row in report["log"] if row["source"] == "windows_redirector.log"], wanted, "log file")
    trial = [row["line"] for row in report["log"] if row["source"] == "IPv4 over loopback"]
    expect_equal(trial, wanted + [f"this is <{what}>." for what in ("machine", "user")], "log of the trial")
    expect_equal([row["name"] for row in report["filters"]], wanted, "filters")
    expect_equal([row["provider"] for row in report["filters"]], ["provider " + text for text in wanted], "providers")
    expect_equal(len(report["findings"]), len(found), "findings")
    expect_equal([row["path"] for row in report["files"]],
                 [rf"%USERPROFILE%\tools\{name}" for name in ("WinDivert.dll", "WinDivert64.sys")], "files")
    expect_equal([row["profile"] for row in report["firewall"]], ["domain", "private", "public"], "profiles")
    expect_equal([(row["state"], row["outbound"]) for row in report["firewall"]], [("on", "allow")] * 3, "their state")
    expect_equal([(row["step"], row["state"]) for row in report["steps"]],
                 [("listening", "ok"), ("program started", "ok"), ("redirector started", "failed"),
                  ("redirector freed", "ok")], "steps")
    expect(report["adapters"] and re.fullmatch(r"(\d+\.){3}\d+", report["system"][0]["windows"]), f"system: {report['system']}")
    expect_equal((report["lost"], "== adapters" in plain), (0, True), "all of it")


def test_report_that_cannot_be_written(t):
    run = t.finish("doctor", "--report", "no such folder/out", FAKE_START_ERROR="10")
    expect_equal(run.status, 2, "status")
    expect("the report cannot be written to" in run.err(), run.err())


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
