# SPDX-License-Identifier: LGPL-3.0-or-later
"""R1: files of rules: check, import, explain, --rules. What they say of a connection is the library's own code."""
import os
import re

import schema
from harness import wait_for
from lab import expect, expect_equal
from test_commands import find, find_one, rules, start_program
from test_docs import read
from test_program import one_line

FILE = """# who talks to whom
redirect to *.github.com port 443
block to 10.0.0.0/8,fd00::/8 port 25,8000-8100 tcp
pass program "C:\\Program Files\\Spy\\*"
redirect program other.exe through socks5://user:secret@127.0.0.1:1080 over http://127.0.0.1:8080
"""
MISTAKES = (
    ("redirekt to 1.2.3.4", "1:1: 'redirekt' is none of redirect, pass and block"),
    ("block to 10.0.0.0/33", "1:10: a prefix of 33 bits is longer than the address, which has 32"),
    ("pass\nblock port 90-80", "2:12: the range 90-80 runs backwards"),
    ("block to 1.2.3.256", "1:10: '1.2.3.256' is neither an address"),
    ("pass port 0", "1:11: '0' is no port"),
    ("pass program \"x", "1:14: the quotation mark is not closed"),
    ("block through socks5://a", "1:7: 'through' is for what is redirected"),
    ("redirect through socks4://a", "1:18: "),
    ("pass sideways", "1:6: 'sideways' is none of program, pid"),
    ("block to " + ",".join(["10.0.0.1"] * 257), "1:1: there are more than 256 rules"),
    ("# gr\u00fc\u00dfe\nblock to", "2:9: an address, a network or a host is missing behind 'to'"),
)


def write(t, name, text, encoding="utf-8"):
    """A file whose content appears at once."""
    with open(t.path(name + ".new"), "w", encoding=encoding, newline="") as file:
        file.write(text)
    os.rename(t.path(name + ".new"), t.path(name))
    return t.path(name)


def explain(t, *arguments):
    run = t.finish("explain", *arguments)
    expect_equal((run.status, run.err()), (0, ""), f"status and errors of explain {arguments}")
    return run.out().rstrip("\n")


def test_check(t):
    run = t.finish("check", write(t, "rules.txt", FILE))
    expect_equal((run.status, run.out(), run.err()), (0, "7 rules, no mistakes\n", ""), "a file that is right")
    run = t.finish("check", "--json", "rules.txt")
    objects = [schema.parse(line) for line in run.out().splitlines()]
    expect_equal([row["line"] for row in objects], [2, 3, 3, 3, 3, 4, 5], "lines of the rules")
    expect_equal(objects[2], {"type": "rule", "line": 3, "action": "block", "direction": "outgoing", "protocol": "tcp",
                              "network": "10.0.0.0/8", "first_port": 8000, "last_port": 8100}, "a rule")
    expect_equal(objects[6]["through"], [["socks5://127.0.0.1:1080", "http://127.0.0.1:8080"]], "a route")
    expect("secret" not in run.out(), "a password is shown")
    run = t.finish("check", write(t, "rules.txt", "\ufeffpass\r\n"))
    expect_equal((run.status, run.out()), (0, "1 rule, no mistakes\n"), "with a mark and the line ends of Windows")


def test_check_tells_each_mistake(t):
    for text, said in MISTAKES:
        one_line(t.finish("check", write(t, "rules.txt", text)), 1, f"rules.txt:{said}")
    run = t.finish("check", "--json", write(t, "rules.txt", "\n".join(text for text, _ in MISTAKES)))
    expect_equal((run.status, len(run.lines()), run.out()), (1, len(MISTAKES), ""), "all of them at once")
    expect_equal({schema.parse(line)["type"] for line in run.lines()}, {"message"}, "as JSON")
    write(t, "rules.txt", "x\n" * 5000)
    run = t.finish("check", "rules.txt")
    expect_equal((len(run.lines()), run.lines()[-1]), (101, "redirector: rules.txt: 4900 more mistakes"), "lines")
    with open(t.path("rules.txt"), "wb") as file:
        file.write(b"pass\nblock to \xff\n")
    one_line(t.finish("check", "rules.txt"), 1, "rules.txt:2:10: this is not UTF-8")
    with open(t.path("rules.txt"), "wb") as file:
        file.write(b"#" * (1 << 20) + b"\n")
    one_line(t.finish("check", "rules.txt"), 1, "larger than 1 MiB")
    one_line(t.finish("check", "no-such-file"), 1, "no-such-file cannot be read (error 2)")


def test_usage(t):
    for arguments, said in ((["check"], "a word is missing"), (["check", "a", "b"], "one word too many"),
                            (["check", "--rules", "x"], "no option '--rules'"), (["rules"], "list, set FILE"),
                            (["rules", "fly"], "list, set FILE"), (["rules", "list", "--rules", "x"], "no option"),
                            (["rules", "list", "--pid", "0"], "'0' is no process id"),
                            (["rules", "set", "--pid"], "--pid needs a value"),
                            (["explain", "x.exe", "example.org:80"], "no address with a port"),
                            (["rules", "test", "x.exe", "1.2.3.4"], "no address with a port")):
        one_line(t.finish(*arguments), 2, said)
    for command in ("check", "import", "explain", "rules"):
        expect("exit status" in t.finish(command, "--help").out(), f"help of {command}")


def test_explain(t):
    path = write(t, "rules.txt", FILE)
    for arguments, said in (
            (["curl.exe", "10.1.2.3:25"], "block, by the last rule that matches, line 3: block to 10.0.0.0/8,"),
            (["curl.exe", "[fd00::1]:8050"], "block, by the last rule that matches, line 3"),
            (["curl.exe", "10.1.2.3:26"], "redirect: no rule matches, and the program is one that redirector runs"),
            (["--udp", "curl.exe", "10.1.2.3:25"], "redirect: no rule matches"),
            (["--stranger", "curl.exe", "10.1.2.3:25"], "pass: no rule matches, and the program is not one"),
            (["--host", "api.github.com", "curl.exe", "192.0.2.1:443"], "redirect, by the last rule that matches, line 2"),
            (["c:/program files/spy/a.exe", "10.1.2.3:25"], "pass, by the last rule that matches, line 4"),
            (["--stranger", "other.exe", "192.0.2.1:80"],
             "redirect through socks5://127.0.0.1:1080 over http://127.0.0.1:8080, by the last rule that matches, line 5: "
             "redirect program other.exe through socks5://127.0.0.1:1080 over http://127.0.0.1:8080"),
            (["--udp", "--stranger", "other.exe", "192.0.2.1:80"], "redirect, by the last rule that matches, line 5")):
        answer = explain(t, "--rules", path, *arguments)
        expect(answer.startswith(said), f"{arguments}: {answer!r}, not {said!r}")
    verdict = schema.parse(explain(t, "--json", "--rules", path, "curl.exe", "10.1.2.3:25"))
    expect_equal((verdict["action"], verdict["rule"]["line"]), ("block", 3), "as JSON")
    expect_equal(schema.parse(explain(t, "--json", "curl.exe", "10.1.2.3:25")),
                 {"type": "verdict", "action": "redirect", "rule": None, "through": None}, "without rules")


def test_explain_a_long_way(t):
    """Names as long as they may be, in the rule and beside it."""
    ways = ", ".join(f"http://{c * 250} over socks5://{c * 249}x:65535" for c in "abcd")
    path = write(t, "rules.txt", f"redirect to *.{'h' * 240} through {ways}\n")
    for options in ((), ("--json",)):
        answer = explain(t, *options, "--rules", path, "--host", f"x.{'h' * 240}", "curl.exe", "10.1.2.3:25")
        expect("d" * 249 + "x:65535" in answer, answer)
    verdict = schema.parse(answer)
    expect_equal((len(verdict["through"]), verdict["through"]), (4, verdict["rule"]["through"]), "ways")


def test_explain_upstream(t):
    """By --upstream where the rule gives no way; the last one that means it; without logins, and without what carries no
    datagrams."""
    options = ("--rules", write(t, "rules.txt", FILE), "--upstream", "socks5://joe:a%2C%20b@192.0.2.7, direct",
               "--upstream", "10.*=http://a%2C:b@192.0.2.8:80 over socks5://192.0.2.9:1080, socks5://192.0.2.7")
    for arguments, said, ways in (
            (["curl.exe", "192.0.2.1:80"], "redirect through socks5://192.0.2.7, direct: no rule",
             [["socks5://192.0.2.7"], ["direct"]]),
            (["x/curl.exe", "10.1.2.3:80"], "redirect through http://192.0.2.8:80 over socks5://192.0.2.9:1080, socks5://",
             [["http://192.0.2.8:80", "socks5://192.0.2.9:1080"], ["socks5://192.0.2.7"]]),
            (["--udp", "curl.exe", "10.1.2.3:80"], "redirect through socks5://192.0.2.7: no rule", [["socks5://192.0.2.7"]]),
            (["other.exe", "10.1.2.3:80"], "redirect through socks5://127.0.0.1:1080 over http://127.0.0.1:8080, by the",
             [["socks5://127.0.0.1:1080", "http://127.0.0.1:8080"]]),
            (["--incoming", "curl.exe", "10.1.2.3:80"], "redirect: no rule", None),
            (["--stranger", "curl.exe", "10.1.2.3:80"], "pass: no rule", None),
            (["curl.exe", "10.1.2.3:25"], "block, by", None)):
        answer = explain(t, *options, *arguments)
        expect(answer.startswith(said), f"{arguments}: {answer!r}, not {said!r}")
        expect_equal(schema.parse(explain(t, "--json", *options, *arguments))["through"], ways, f"ways of {arguments}")
    one_line(t.finish("explain", "--upstream", "ftp://a", "curl.exe", "10.1.2.3:80"), 2, "is not right: it begins neither")


def test_import(t):
    with open(t.path("p.ppx"), "w", encoding="utf-8") as file:
        file.write("""<?xml version="1.0"?><ProxifierProfile version="101"><ProxyList><Proxy id="100" type="SOCKS5">
<Address>10.0.0.1</Address><Port>1080</Port></Proxy></ProxyList><RuleList>
<Rule enabled="true"><Name>a</Name><Targets>*.example.com</Targets><Action type="Block" /></Rule>
<Rule enabled="true"><Name>Default</Name><Action type="Proxy">100</Action></Rule></RuleList></ProxifierProfile>""")
    run = t.finish("import", "p.ppx")
    expect_equal(run.status, 0, f"status; it said {run.err()}")
    expect("2 rules were imported" in run.err(), run.err())
    write(t, "rules.txt", run.out())
    answer = explain(t, "--rules", "rules.txt", "--host", "www.example.com", "curl.exe", "192.0.2.1:80")
    expect(answer.startswith("block, "), answer)
    answer = explain(t, "--rules", "rules.txt", "curl.exe", "192.0.2.1:80")
    expect(answer.startswith("redirect through socks5://10.0.0.1:1080, by "), answer)
    write(t, "p.ppx", "<a>")
    one_line(t.finish("import", "p.ppx"), 1, "no profile that can be imported")
    one_line(t.finish("import", "no-such-file"), 1, "cannot be read")


def test_rules_reach_the_library(t):
    """Those of the file first, so that the command line has the last word."""
    write(t, "rules.txt", "block to 10.0.0.0/8 port 25\npass to *.example.org\n")
    run = t.relay("--exclude", "x.exe", "--rules", "rules.txt", "--exclude-listener", "guard.exe")
    expect_equal(rules(t, run)[2], ["block 0 - /8 :25-25", "exclude 0 - *.example.org", "exclude 0 x.exe",
                                    "exclude 0 -", "to guard.exe"], "rules")
    run.finish()


def test_rules_option_errors(t):
    child = t.child()
    write(t, "rules.txt", "pass\nblok\n")
    one_line(t.finish("run", "--rules", "rules.txt", "--", child), 2, "rules.txt:2:1: 'blok' is none of")
    one_line(t.finish("run", "--rules", "nothing.txt", "--", child), 2, "nothing.txt cannot be read (error 2)")
    one_line(t.finish("run", "--rules", "a", "--rules", "b", "--", child), 2, "one --rules is enough")
    write(t, "rules.txt", "pass\n" * 250)
    one_line(t.finish("run", "--rules", "rules.txt", *["--exclude", "x"] * 7, "--", child), 2,
             "more than 256 rules in all: 250 of the file, 7 of the command line")
    write(t, "rules.txt", "redirect program other.exe to 10.0.0.0/8\nblock program other.exe\npass program x.exe\n")
    one_line(t.finish("attach", "--rules", "rules.txt"), 2, "'redirect program chrome.exe'")


def test_attach_by_rules(t):
    """Rules that name a place are not about whole processes."""
    start_program(t, "wait", name="other.exe")
    other = find_one(t, "other.exe")
    write(t, "rules.txt", "redirect program OTH*.exe\npass program other.exe to 10.0.0.0/8\nredirect program child.exe udp\n")
    row, = find(t, "other.exe", "--rules", "rules.txt")
    expect_equal((row["redirected"], row["reason"]), (True, "--rules, line 1: redirect program OTH*.exe"), "ps")
    run = t.start("attach", "--rules", "rules.txt")
    run.read_start()
    expect_equal(rules(t, run)[1], [other["pid"]], "roots")
    wait_for(lambda: "redirecting 1 process" in run.err(), "what it says")
    run.interrupt()
    run.wait()


def test_run_does_not_wait_for_names_of_rules(t):
    write(t, "rules.txt", "redirect program other.exe\n")
    expect_equal(t.finish("run", "--rules", "rules.txt", "--", t.child(), "exit", "7").status, 7, "status")


def test_examples_of_the_page(t):
    """Each block of docs/rules-file.md that is marked so is right, or has the mistakes that stand behind it."""
    blocks = re.findall(r"^```(rules|mistakes)\n(.*?)^```", read("docs", "rules-file.md"), re.M | re.S)
    expect(len(blocks) >= 4 and "mistakes" in dict(blocks), "the examples were not found")
    for kind, text in blocks:
        run = t.finish("check", write(t, "rules.txt", text))
        wrong = [line.split("  # ")[1] for line in text.splitlines() if "  # " in line] if kind == "mistakes" else []
        said = [re.sub(r"^redirector: .*rules.txt:\d+:\d+: ", "", line) for line in run.lines()]
        expect_equal((run.status, said), (1 if wrong else 0, wrong), f"check of {text!r}")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
