# SPDX-License-Identifier: LGPL-3.0-or-later
"""Checks examples/python: its structures against the header, its calls against mock_library.c, its proxy at work.

    check_python.py WORK_FOLDER     called by tests/api/run; prints a line per check
"""
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "include" / "windows_redirector.h"
EXAMPLES = ROOT / "examples" / "python"
PATIENCE = 30
ID = 1 << 40

sys.dont_write_bytecode = True
sys.path.insert(0, str(EXAMPLES))
import windows_redirector as binding  # noqa: E402  (found only now)


def check(condition, name, why=""):
    print(f"ok {name}" if condition else f"FAIL {name}: {why}")


def layout_by_compiler(folder):
    """{structure: (size, {field: (offset, size)})}, as a C program says."""
    lines = ['#include <windows_redirector.h>', '#include <stddef.h>', '#include <stdio.h>', "int main(void)", "{"]
    for structure in binding.STRUCTURES:
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
    for structure in binding.STRUCTURES:
        size, fields = by_compiler[structure.__name__]
        members = {name: getattr(structure, name) for name, *_ in structure._fields_}
        ours = {name: (member.offset, member.size) for name, member in members.items()}
        check(ctypes.sizeof(structure) == size and ours == fields, f"Python: layout of {structure.__name__}",
              f"{ctypes.sizeof(structure)} {ours}, not {size} {fields}")


def check_names():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    calls = set(re.findall(r"REDIRECTOR_API[^;]*?\b(redirector_\w+)\s*\(", text)) - {"redirector_last_error"}
    check(set(binding.PROTOTYPES) == calls, "Python: declares every extended call",
          str(set(binding.PROTOTYPES) ^ calls))
    wrong = []
    for name, (_, arguments) in binding.PROTOTYPES.items():
        declared = re.search(r"\b" + name + r"\s*\(([^)]*)\)", text).group(1)
        count = 0 if declared.strip() == "void" else declared.count(",") + 1
        if count != len(arguments):
            wrong.append(f"{name}: {len(arguments)} arguments, not {count}")
    check(not wrong, "Python: the number of arguments of each", "; ".join(wrong))
    flags = dict(re.findall(r"REDIRECTOR_([A-Z_]+) += 1u << (\d+)", text))
    check(len(flags) == 11 and all(getattr(binding, name) == 1 << int(bit) for name, bit in flags.items()),
          "Python: the flags", str(flags))


def check_calls():
    lines = []
    arguments = dict(roots=[1000, 2000], proxy_port=8080, incoming_port=8081, agent_pid=500,
                     flags=binding.FAIL_CLOSED | binding.DESCENDANTS_ONLY, rules=[(True, "curl.exe"), (False, 4711), (False, None, "guard.exe")],
                     windivert_dir="/some/where", decision_timeout_ms=3000, listen_ports=[80, 65535], log_path="",
                     log=lambda level, line: lines.append((level, line)))
    try:
        redirector = binding.Redirector(**arguments)
    except binding.Error as error:
        check(False, "Python: start hands everything over", str(error))
        return
    with redirector:
        check(True, "Python: start hands everything over")
        check(lines == [(4, "mock started")], "Python: log lines arrive", str(lines))
        check(redirector.destination(("127.0.0.1", 4000)) == ("10.1.2.3", 80, 1004, False, ID | 4000),
              "Python: lookup, IPv4")
        check(redirector.destination(("::1", 4000, 0, 0)) == ("fd00::7", 443, 1004, True, ID | 4000),
              "Python: lookup, IPv6")
        for peer in (("fe80::9", 4000, 0, 7), ("fe80::9%7", 4000), ("fe80::9%7", 4000, 0, 7)):
            check(redirector.destination(peer) == ("fe80::7%7", 443, 1004, True, ID | 4000),
                  f"Python: lookup of {peer}")
        check(redirector.destination(("::ffff:127.0.0.1", 4000, 0, 0)) == ("10.1.2.3", 80, 1004, False, ID | 4000),
              "Python: lookup, IPv4 as a dual-stack listener says it")
        check(redirector.destination(("127.0.0.1", 1)) is None, "Python: a stranger")
        check(redirector.next_connection(0) is None, "Python: no connection to decide about")
        undecided = redirector.next_connection(100)
        check(undecided == (7 << 40 | 7, 1004, ("10.0.0.1", 100), ("10.0.0.2", 200)),
              "Python: a connection to decide about", str(undecided))
        check(redirector.decide(7 << 40 | 7, binding.REFUSE) and not redirector.decide(8, binding.REFUSE),
              "Python: a decision")
        check(redirector.failure() is None, "Python: no failure")
        check(redirector.forget(("127.0.0.1", 5)) and not redirector.forget(("127.0.0.1", 1)), "Python: forget")
        check(redirector.failure() == "the mock has failed", "Python: failure")
        redirector.set_rules([(True, 7)])
        redirector.set_rules([])
        check(True, "Python: new rules")
        connections = redirector.connections()
        want = (1039, "incoming", "opening", ("10.0.0.1", 139), ("10.0.0.2", 239), ("fe80::9%39", 339),
                *((n << 40) + 39 for n in range(1, 7)))
        check(len(connections) == 40 and connections[39] == want, "Python: the list of connections",
              str(connections[-1]))
        stats = redirector.stats()
        check(stats.pop("flows_live") == 99 and list(stats.values()) == list(range(1, len(stats) + 1)),
              "Python: the counters", str(stats))
    arguments["proxy_port"] = 1
    try:
        binding.Redirector(**arguments)
        check(False, "Python: an error is raised", "it was not")
    except binding.Error as error:
        check(error.name == "INVALID_ARGUMENT" and "8080" in str(error), "Python: an error is raised", str(error))


def check_proxy(folder):
    """examples/python/proxy.py on this machine's loopback; the mock says where its connections were going."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(PATIENCE)

    def echo():
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data.upper())

    threading.Thread(target=echo, daemon=True).start()
    port_file = folder / "port"
    environment = dict(os.environ, MOCK_PORT=str(port_file), MOCK_DESTINATION=str(server.getsockname()[1]),
                       PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(EXAMPLES))
    start = (f"import runpy, sys, windows_redirector; windows_redirector.load({str(folder / 'mock.so')!r}); "
             f"sys.argv = ['proxy.py', '1000']; runpy.run_path({str(EXAMPLES / 'proxy.py')!r}, run_name='__main__')")
    with subprocess.Popen([sys.executable, "-c", start], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as proxy:
        killer = threading.Timer(PATIENCE, proxy.kill)
        killer.start()
        first = proxy.stdout.readline().strip()
        answer = b""
        if first == "ready":
            with socket.create_connection(("127.0.0.1", int(port_file.read_text())), PATIENCE) as client:
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                while data := client.recv(100):
                    answer += data
        told = proxy.stdout.readline().strip()
        proxy.stdin.write("\n")
        proxy.stdin.close()
        rest = proxy.stdout.read()
        killer.cancel()
    server.close()
    check(answer == b"HELLO", "Python: proxy.py passes a connection on", f"{first!r} {answer!r} {told!r} {rest!r}")
    check(re.fullmatch(r"pid 1004 -> 127\.0\.0\.1 port \d+: 5 bytes up, 5 bytes down", told) and proxy.returncode == 0,
          "Python: proxy.py tells of it, and ends", f"{told!r} {proxy.returncode} {rest!r}")


def main():
    folder = pathlib.Path(sys.argv[1])
    mock = folder / "mock.so"
    subprocess.run(["gcc", "-std=gnu11", "-shared", "-fPIC", "-Wall", "-Wextra", f"-I{ROOT / 'include'}",
                    ROOT / "tests" / "api" / "mock_library.c", "-o", mock], check=True)
    check_layouts(folder)
    check_names()
    binding.load(mock)
    check_calls()
    check_proxy(folder)


if __name__ == "__main__":
    main()
