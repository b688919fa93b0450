# SPDX-License-Identifier: LGPL-3.0-or-later
"""Checks the Python package: its structures against the header, its calls against mock_library.c, its types; and the
examples with it, at work.

    check_python.py WORK_FOLDER     called by tests/api/run; prints a line per check
"""
import ctypes
import gc
import ipaddress
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "include" / "windows_redirector.h"
PACKAGE = ROOT / "python"
EXAMPLES = ROOT / "examples" / "python"
PATIENCE = 60
ID = 1 << 40

sys.dont_write_bytecode = True
sys.path[:0] = [str(PACKAGE), str(pathlib.Path(__file__).resolve().parent)]
import windows_redirector as binding  # noqa: E402  (found only now)
from windows_redirector import _library as c  # noqa: E402
import check_datagrams  # noqa: E402


def check(condition, name, why=""):
    print(f"ok {name}" if condition else f"FAIL {name}: {why}")


def layout_by_compiler(folder):
    """{structure: (size, {field: (offset, size)})}, as a C program says."""
    lines = ['#include <windows_redirector.h>', '#include <stddef.h>', '#include <stdio.h>', "int main(void)", "{"]
    for structure in c.STRUCTURES:
        name = structure.__name__
        lines.append(f'printf("{name} . %zu 0\\n", sizeof({name}));')
        for field, *_ in structure._fields_:
            lines.append(f'printf("{name} {field} %zu %zu\\n", offsetof({name}, {field}), '
                         f'sizeof((({name} *)0)->{field}));')
    lines += ["return 0;", "}", ""]
    source, program = folder / "layout.c", folder / "layout"
    source.write_text("\n".join(lines))
    subprocess.run(["gcc", f"-I{ROOT / 'include'}", source, "-o", program], check=True)
    result = {}
    for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines():
        structure, field, offset, size = line.split()
        if field == ".":
            result[structure] = (int(offset), {})
        else:
            result[structure][1][field] = (int(offset), int(size))
    return result


def check_layouts(folder):
    by_compiler = layout_by_compiler(folder)
    for structure in c.STRUCTURES:
        size, fields = by_compiler[structure.__name__]
        members = {name: getattr(structure, name) for name, *_ in structure._fields_}
        ours = {name: (member.offset, member.size) for name, member in members.items()}
        check(ctypes.sizeof(structure) == size and ours == fields, f"Python: layout of {structure.__name__}",
              f"{ctypes.sizeof(structure)} {ours}, not {size} {fields}")


def check_names():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    calls = set(re.findall(r"REDIRECTOR_API[^;]*?\b(redirector_\w+)\s*\(", text)) - {"redirector_last_error"}
    check(set(c.PROTOTYPES) == calls, "Python: declares every extended call",
          str(set(c.PROTOTYPES) ^ calls))
    wrong = []
    for name, (_, arguments) in c.PROTOTYPES.items():
        declared = re.search(r"\b" + name + r"\s*\(([^)]*)\)", text).group(1)
        count = 0 if declared.strip() == "void" else declared.count(",") + 1
        if count != len(arguments):
            wrong.append(f"{name}: {len(arguments)} arguments, not {count}")
    check(not wrong, "Python: the number of arguments of each", "; ".join(wrong))
    flags = dict(re.findall(r"REDIRECTOR_([A-Z_]+) += 1u << (\d+)", text))
    ours = {flag.name: int(flag).bit_length() - 1 for flag in binding.Flags if flag}
    check(ours == {name: int(bit) for name, bit in flags.items()}, "Python: the flags", f"{ours}, not {flags}")


def check_closing(arguments):
    """While another thread waits in a call; and by the log function, which the library calls."""
    said, busy = [], threading.Event()

    def log(_level, _line):
        if "redirector" in told:
            said.append(raises(told["redirector"].close))
    told = {}
    with binding.Redirector(**dict(arguments, log=log)) as redirector:
        def wait():
            busy.set()
            said.append(raises(redirector.next_connection, 200))
        waiting = threading.Thread(target=wait)
        waiting.start()
        busy.wait()
        redirector.close()
        waiting.join(PATIENCE)
        check(not waiting.is_alive() and said in ([None], ["NOT_RUNNING"]), "Python: close() while another thread waits", said)
    said.clear()
    with binding.Redirector(**dict(arguments, log=log)) as redirector:
        told["redirector"] = redirector
        redirector._running.log_function(None, 4, b"a line")
        told.clear()
        check(said == ["INVALID_ARGUMENT"], "Python: close() by the log function is refused", said)


def raises(call, *arguments):
    """The name of the error that a call raises, or None."""
    try:
        call(*arguments)
    except binding.Error as error:
        return error.name
    return None


def check_loading(folder):
    """Before anything is loaded."""
    if sys.platform != "win32":
        check(raises(binding.load) == "NOT_SUPPORTED", "Python: another system is told of")
    check(raises(binding.load, folder / "nowhere.dll") == "DLL_NOT_FOUND", "Python: a missing library is told of")
    done = subprocess.run([sys.executable, "-m", "windows_redirector", "--version"], cwd=PACKAGE, capture_output=True, text=True,
                          check=False)
    check(done.returncode == 1 and "redirector.exe cannot be run" in done.stderr and "Traceback" not in done.stderr,
          "Python: a missing program is told of", done.stderr)


def check_types():
    for system in ("linux", "win32"):
        done = subprocess.run(["/usr/bin/mypy", "--config-file", PACKAGE / "pyproject.toml", "--platform", system,
                               "--cache-dir", "/dev/null", PACKAGE / "windows_redirector"], capture_output=True, text=True,
                              check=False)
        check(done.returncode == 0, f"Python: types, as on {system}", done.stdout + done.stderr)


def message(call, *arguments):
    """What a call says when it fails."""
    try:
        call(*arguments)
    except (binding.Error, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "it was taken"


def check_rules(redirector):
    """R1: every field of a rule, and of what rules are asked about; each kind of mistake has its text."""
    redirector.set_rules([(True, 7)])
    redirector.set_rules([])
    refused = message(redirector.set_rules, [(False, 7)])
    check(refused == "Error: the mock did not get the rule about process 7", "Python: new rules, and what the library says", refused)
    Rule, there = binding.Rule, ("192.0.2.1", 1)
    for rule, text in ((Rule(network="10.0.0.0/33"), "rule 1: '10.0.0.0/33' does not appear to be"),
                       (Rule(network="10.0.0.1/8"), "rule 1: 10.0.0.1/8 has host bits set"),
                       (Rule(network="::ffff:10.0.0.0/95"), "rule 1: "), (Rule(ports=(2, 1)), "rule 1: a rule's ports are 2 to 1"),
                       (Rule(ports=0), "rule 1: a rule's ports are 0 to 0"), (Rule(ports=65536), "rule 1: a rule's ports are 65536"),
                       (Rule(host="a\0b"), "rule 1: a rule's host has a NUL"), (Rule(upstream=-1), "rule 1: an upstream is -1"),
                       (Rule(listener="a\0b"), "rule 1: a rule's listener has a NUL"), (Rule(action=-1), "rule 1: an action is -1"),
                       ((True, "a", "b", "c", 1 << 32), "rule 1: a protocol is 4294967296")):
        for call, more in ((redirector.set_rules, ()), (binding.test_rules, (there,))):
            said = message(call, [(True, 7), rule], *more)
            check(said.startswith("ValueError: " + text), f"Python: a rule that is not right: {text}", said)
    check(message(redirector.set_rules, [(True, 7, None, None, None, None, None, None, 0, 1)]).startswith("TypeError: rule 0: "),
          "Python: a tuple with too many words")
    verdict = binding.test_rules([(True, 7)], ("2001:db8::1", 5500), "c:\\a.exe", 9, False, binding.Protocol.UDP,
                                 binding.Direction.INCOMING, "c:\\b.exe", "a.test")
    check(verdict == (binding.Action.BLOCK, 3, 11), "Python: what a rule says of a connection", verdict)
    verdict = binding.test_rules([], there)
    check(verdict == (binding.Action.REDIRECT, None, 0), "Python: what the tree alone says of it", verdict)
    check("the mock did not get" in message(binding.test_rules, [], there, "c:\\a.exe"), "Python: what the library says of it")
    check(redirector.tell_name("192.0.2.1", "a.test.") is None, "Python: a name")
    check(raises(redirector.tell_name, "192.0.2.2", "a.test") == "INVALID_ARGUMENT", "Python: a name that the library refuses")
    for name in ("", ".", "a\0b", "a" * 254):
        check(message(redirector.tell_name, "192.0.2.1", name).startswith("ValueError: a name "), f"Python: no name: {name[:5]!r}")


def check_calls():
    lines = []
    arguments = dict(roots=[1000, 2000], proxy_port=8080, incoming_port=8081, agent_pid=500,
                     flags=binding.Flags.FAIL_CLOSED | binding.Flags.DESCENDANTS_ONLY, 
                     rules=[(True, "curl.exe"), (False, 4711), (False, None, "guard.exe"),
                            binding.Rule(binding.Action.BLOCK, host="*.test", protocol=binding.Protocol.UDP,
                                         direction=binding.Direction.OUTGOING, network="2001:db8::/32", ports=(5000, 6000),
                                         upstream=7),
                            binding.Rule(True, network=ipaddress.ip_network("::ffff:10.0.0.0/104"), ports=443,
                                         protocol=binding.Protocol.TCP, direction=binding.Direction.INCOMING)],
                     windivert_dir="/some/where", decision_timeout_ms=3000, listen_ports=[80, 65535], udp_port=5353,
                     udp_idle_ms=20000, log_path="",
                     log=lambda level, line: lines.append((level, line)))
    try:
        redirector = binding.Redirector(**arguments)
    except binding.Error as error:
        check(False, "Python: start hands everything over", str(error))
        return
    with redirector:
        check(True, "Python: start hands everything over")
        check(lines == [(4, "mock started")], "Python: log lines arrive", str(lines))
        check(redirector.destination(("127.0.0.1", 4000)) == ("10.1.2.3", 80, 1004, False, ID | 4000, 11),
              "Python: lookup, IPv4")
        check(redirector.destination(("::1", 4000, 0, 0)) == ("fd00::7", 443, 1004, True, ID | 4000, 11),
              "Python: lookup, IPv6")
        for peer in (("fe80::9", 4000, 0, 7), ("fe80::9%7", 4000), ("fe80::9%7", 4000, 0, 7)):
            check(redirector.destination(peer) == ("fe80::7%7", 443, 1004, True, ID | 4000, 11),
                  f"Python: lookup of {peer}")
        check(redirector.destination(("::ffff:127.0.0.1", 4000, 0, 0)) == ("10.1.2.3", 80, 1004, False, ID | 4000, 11),
              "Python: lookup, IPv4 as a dual-stack listener says it")
        check(redirector.destination(("127.0.0.1", 1)) is None, "Python: a stranger")
        for peer, host in ((("127.0.0.1", 4000), "10.1.2.3"), (("::1", 4000, 0, 0), "fd00::7")):
            check(redirector.destination(peer, binding.Protocol.UDP) == (host, 53, 1004, ":" in host, ID | 4000, 11),
                  f"Python: lookup of a UDP peer, {peer[0]}")
        check(raises(redirector.destination, ("127.0.0.1", 4000), 132) == "INVALID_ARGUMENT", "Python: no such protocol")
        check(redirector.unreachable(("127.0.0.1", 5)) and not redirector.unreachable(("127.0.0.1", 1)), "Python: unreachable")
        check(redirector.next_connection(0) is None, "Python: no connection to decide about")
        undecided = redirector.next_connection(100)
        check(undecided == (7 << 40 | 7, 1004, ("10.0.0.1", 100), ("10.0.0.2", 200), 12),
              "Python: a connection to decide about", str(undecided))
        check(redirector.decide(7 << 40 | 7, binding.Decision.REFUSE) and not redirector.decide(8, binding.Decision.REFUSE),
              "Python: a decision")
        check(redirector.failure() is None, "Python: no failure")
        check(redirector.forget(("127.0.0.1", 5)) and not redirector.forget(("127.0.0.1", 1)), "Python: forget")
        check(redirector.failure() == "the mock has failed", "Python: failure")
        check_rules(redirector)
        connections = redirector.connections()
        want = (1039, "incoming", "opening", ("10.0.0.1", 139), ("10.0.0.2", 239), ("fe80::9%39", 339),
                *((n << 40) + 39 for n in range(1, 7)), binding.Protocol.UDP)
        check(len(connections) == 40 and connections[39] == want, "Python: the list of connections",
              str(connections[-1]))
        check([one.protocol.name for one in connections[:4]] == ["TCP", "TCP", "TCP", "UDP"], "Python: their protocols")
        check(list(redirector) == connections, "Python: the same by iteration")
        stats = redirector.stats()
        check(stats.pop("flows_live") == 99 and list(stats.values()) == list(range(1, len(stats) + 1)),
              "Python: the counters", str(stats))
    check(not raises(redirector.close), "Python: closed twice")
    for name, value in (("proxy_port", (1 << 32) + 80), ("agent_pid", -1), ("roots", [1 << 32]), ("listen_ports", [1 << 32]),
                        ("udp_port", (1 << 32) + 53), ("udp_idle_ms", -1), ("windivert_dir", "a\0b"), 
                        ("rules", [(True, "a\0b")]), ("rules", [(True, 1 << 32)]),
                        ("upstreams", [("10.0.0.1", 1 << 16)])):
        try:
            binding.Redirector(**dict(arguments, **{name: value})).close()
            check(False, f"Python: {name} of {value!r} is refused", "it was taken")
        except ValueError as error:
            check(str(value if isinstance(value, int) else "") in str(error), f"Python: {name} of {value!r} is refused", error)
    check(raises(redirector.stats) == "NOT_RUNNING", "Python: a call after that is an error")
    again = binding.Redirector(**arguments)
    finalizer, running = again._close, again._running
    del again, redirector
    gc.collect()
    check(not finalizer.alive and running.closed, "Python: one that nobody has any more is stopped")
    check_closing(arguments)
    arguments["proxy_port"] = 1
    try:
        binding.Redirector(**arguments)
        check(False, "Python: an error is raised", "it was not")
    except binding.Error as error:
        check(error.name == "INVALID_ARGUMENT" and "8080" in str(error), "Python: an error is raised", str(error))


class Upcase:
    """A server on loopback that says in capitals what it is told, to the end of data."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection, _ = self.socket.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data.upper())


class WebServer(Upcase):
    """One answer."""

    def serve(self):
        connection, _ = self.socket.accept()
        with connection:
            self.asked = connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


def running(command, folder, server):
    """A proxy in a process of its own, whose mock library says that all connections were going to the server."""
    environment = dict(os.environ, MOCK_PORT=str(folder / "port"), MOCK_DESTINATION=str(server.port), HOME=str(folder),
                       PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1", PYTHONPATH=f"{PACKAGE}{os.pathsep}{folder}")
    proxy = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    timer = threading.Timer(PATIENCE, proxy.kill)
    timer.daemon = True
    timer.start()
    return proxy


def talk(port, words, ends=True):
    """What is answered, to the end of data; `ends`: ours has come, too."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(words)
        if ends:
            client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            answer += data
    return answer


def check_proxy(folder):
    """examples/python/proxy.py on this machine's loopback; the mock says where its connections were going."""
    server = Upcase()
    start = (f"import runpy, sys, windows_redirector; windows_redirector.load({str(folder / 'mock.so')!r}); "
             f"sys.argv = ['proxy.py', '1000']; runpy.run_path({str(EXAMPLES / 'proxy.py')!r}, run_name='__main__')")
    with running([sys.executable, "-c", start], folder, server) as proxy:
        first = proxy.stdout.readline().strip()
        answer = talk(int((folder / "port").read_text()), b"hello") if first == "ready" else b""
        told = proxy.stdout.readline().strip()
        proxy.stdin.write("\n")
        proxy.stdin.close()
        rest = proxy.stdout.read()
    check(answer == b"HELLO", "Python: proxy.py passes a connection on", f"{first!r} {answer!r} {told!r} {rest!r}")
    check(re.fullmatch(r"pid 1004 -> 127\.0\.0\.1 port \d+: 5 bytes up, 5 bytes down", told) and proxy.returncode == 0,
          "Python: proxy.py tells of it, and ends", f"{told!r} {proxy.returncode} {rest!r}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def check_mitmproxy(folder):
    """examples/python/mitmproxy_addon.py in the real mitmproxy."""
    server, port, proxy_port = WebServer(), folder / "port", free_port()
    port.unlink(missing_ok=True)
    (folder / "addon.py").write_text(
        f"import runpy, windows_redirector\nwindows_redirector.load({str(folder / 'mock.so')!r})\n"
        f"windows_redirector.program_of = lambda pid: 'client.exe'\n"
        f"addons = runpy.run_path({str(EXAMPLES / 'mitmproxy_addon.py')!r})['addons']\n"
        "class Teller:\n    def response(self, flow):\n        print('flow', sorted(flow.metadata.items()), flow.request.pretty_url, "
        "flow.response.text, flush=True)\naddons.append(Teller())\n")
    command = ["/usr/bin/mitmdump", "--mode", "transparent", "--listen-host", "127.0.0.1", "--listen-port", str(proxy_port),
               "--set", "redirect_pids=1000", "--set", f"confdir={folder}", "-s", folder / "addon.py"]
    with running([str(word) for word in command], folder, server) as proxy:
        lines = []
        for line in proxy.stdout:
            lines.append(line.strip())
            if "listening at" in line:
                threading.Thread(target=lambda: lines.append(talk_when(port, proxy_port)), daemon=True).start()
            if line.startswith("flow "):
                break
        proxy.terminate()
        lines += proxy.stdout.read().splitlines()
    told = next((line for line in lines if str(line).startswith("flow ")), "")
    check(f"('destination', ('127.0.0.1', {server.port})), ('pid', 1004), ('program', 'client.exe')" in told,
          "Python: mitmproxy knows program and destination of a flow", lines)
    check(told.endswith(f"http://example.test:{proxy_port}/path hello") and server.asked.startswith(b"GET /path HTTP/1.1\r\n"),
          "Python: mitmproxy has fetched it there", f"{told!r} {lines}")


def talk_when(port_file, port):
    """As soon as the redirector has been started."""
    deadline = time.monotonic() + PATIENCE
    while not port_file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return talk(port, f"GET /path HTTP/1.1\r\nHost: example.test:{port}\r\n\r\n".encode(), ends=False)


def main():
    folder = pathlib.Path(sys.argv[1])
    mock = folder / "mock.so"
    subprocess.run(["gcc", "-std=gnu11", "-shared", "-fPIC", "-Wall", "-Wextra", f"-I{ROOT / 'include'}",
                    ROOT / "tests" / "api" / "mock_library.c", "-o", mock], check=True)
    check_layouts(folder)
    check_names()
    check_types()
    check_loading(folder)
    binding.load(mock)
    check_calls()
    for name, right, why in check_datagrams.check_all(folder):
        check(right, f"Python: datagrams, {name}", why)
    check_proxy(folder)
    check_mitmproxy(folder)


if __name__ == "__main__":
    main()
