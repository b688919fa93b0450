# SPDX-License-Identifier: LGPL-3.0-or-later
"""Real servers on the server host: nginx, PostgreSQL, Redis, dnsmasq, chrony, iperf3, and some in Go. Each is started
when it is first asked for and runs until the lab goes down; each listens on both families. Their certificate is made
anew with every lab."""
import glob
import os
import shutil
import subprocess

from lab import ROOT, SERVER, Failure, listens, wait_until

CLIENTS = os.path.join(ROOT, "build", "e2e", "clients")
CHRONYD = os.path.join(ROOT, "build", "unpacked", "chrony", "usr", "sbin", "chronyd")
NO_TCP = ("ntp", "quic", "udp", "iperf3")  # or none that others may connect to
NGINX = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    root {folder}/pages; keepalive_requests 100000;
    server {{ {listen} }}
    server {{ {listen_tls} ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; }}
}}
"""


class Servers:
    """One per lab; `folder` also has ca.pem."""

    def __init__(self, t):
        self.lab, self.world, self.probe = t.lab, t.world, t.server
        self.folder = os.path.join(t.lab.state, "servers")
        self.running = {}
        os.mkdir(self.folder)
        if not os.path.exists(CLIENTS):
            raise Failure("build/e2e/clients is not there: see build/e2e/clients.log")
        self.make_certificate()

    def make_certificate(self):
        names = ",".join([*(f"IP:{host}" for host in SERVER.values()), "DNS:quic.lab.test", "DNS:web.lab.test"])
        self.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=the lab",
                 "-addext", f"subjectAltName={names}", "-keyout", "key.pem", "-out", "cert.pem")
        shutil.copy(os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "ca.pem"))

    def run(self, *words):
        done = subprocess.run(words, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise Failure(f"{words[0]}: {(done.stdout + done.stderr).strip()[-500:]}")

    def start(self, name, *words):
        self.lab.popen("run", "server", "--", *words, out=os.path.join(self.folder, name + ".out"), cwd=self.folder)

    def port(self, name):
        """The port of "http", "https", "go", "postgres", "redis", "dns", "ntp", "quic", "udp" or "iperf3", which then
        answers."""
        if name not in self.running:
            for port_name, port in getattr(self, "start_" + name)().items():
                for host in SERVER.values():
                    wait_until(lambda at=f"{host}/{port}": self.answers(at) if port_name not in NO_TCP else
                               listens("server", port), f"{port_name} at {host}/{port}", 30)
                self.running[port_name] = port
        return self.running[name]

    def answers(self, at):
        number = self.probe.new_id()
        answer = self.probe.call("connect", id=number, to=at, may_fail=True)
        if "error" not in answer:
            self.probe.call("reset", id=number)
        return "error" not in answer

    def start_http(self):
        ports = {"http": self.world.free_port(), "https": self.world.free_port()}
        listen = "listen {}:{p}{more}; listen [{}]:{p}{more};"
        os.mkdir(os.path.join(self.folder, "pages"))
        self.run(CLIENTS, "pages", os.path.join(self.folder, "pages"))
        configuration = NGINX.format(
            folder=self.folder, listen=listen.format(*SERVER.values(), p=ports["http"], more=""),
            listen_tls=listen.format(*SERVER.values(), p=ports["https"], more=" ssl http2"))
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(configuration)
        self.start("nginx", "nginx", "-c", path)
        return ports

    start_https = start_http

    def start_go(self):
        port = self.world.free_port()
        self.start("go", CLIENTS, f"serve@::/{port}", self.folder)  # ::: of both families
        return {"go": port}

    def start_quic(self):
        port = self.world.free_port()
        self.start("quic", CLIENTS, f"serve-quic@::/{port}", self.folder)
        return {"quic": port}

    def start_udp(self):
        port = self.world.free_port()
        self.start("udp", CLIENTS, f"serve-udp@::/{port}", self.folder)
        return {"udp": port}

    def start_iperf3(self):
        port = self.world.free_port()
        self.start("iperf3", "iperf3", "-s", "-p", str(port))
        return {"iperf3": port}

    def start_dns(self):
        """What clients/datagrams.go expects; the answer for long.lab.test does not fit into a datagram."""
        long = ",".join(f"{i:0200d}" for i in range(8))
        self.start("dns", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file",
                   "--no-resolv", "--no-hosts", "--bind-interfaces",
                   *(f"--listen-address={host}" for host in SERVER.values()), "--local=/lab.test/",
                   "--host-record=www.lab.test,192.0.2.1,2001:db8::7", "--mx-host=lab.test,mail.lab.test,10",
                   "--txt-record=long.lab.test," + long)
        return {"dns": 53}

    def start_ntp(self):
        if not os.path.exists(CHRONYD):
            raise Failure("build/unpacked/chrony is not there: make setup")
        path, port = os.path.join(self.folder, "chrony.conf"), 123
        with open(path, "w", encoding="ascii") as out:
            out.write(f"port {port}\nlocal stratum 5\nallow all\ncmdport 0\npidfile {self.folder}/chrony.pid\n")
        self.start("ntp", CHRONYD, "-d", "-x", "-u", "root", "-f", path)  # -x: it leaves the clock alone
        return {"ntp": port}

    def start_redis(self):
        port = self.world.free_port()
        self.start("redis", "redis-server", "--port", str(port), "--bind", *SERVER.values(), "--protected-mode", "no",
                   "--save", "", "--dir", self.folder)
        return {"redis": port}

    def start_postgres(self):
        """Run by the user that Debian's package made: it refuses to be root."""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise Failure("there is no PostgreSQL in /usr/lib/postgresql")
        data, port = os.path.join(self.folder, "postgres"), self.world.free_port()
        os.mkdir(data)
        shutil.chown(data, "postgres", "postgres")
        as_postgres = ("runuser", "-u", "postgres", "--")
        self.run(*as_postgres, os.path.join(found[-1], "initdb"), "-D", data, "-A", "trust", "-N", "-E", "UTF8")
        for name in ("cert.pem", "key.pem"):
            shutil.copy(os.path.join(self.folder, name), data)
            shutil.chown(os.path.join(data, name), "postgres", "postgres")
            os.chmod(os.path.join(data, name), 0o600)
        with open(os.path.join(data, "pg_hba.conf"), "a", encoding="ascii") as out:
            out.write("host all all all trust\n")
        settings = {"listen_addresses": ",".join(SERVER.values()), "port": port, "unix_socket_directories": data,
                    "ssl": "on", "ssl_cert_file": "cert.pem", "ssl_key_file": "key.pem", "fsync": "off"}
        self.start("postgres", *as_postgres, os.path.join(found[-1], "postgres"), "-D", data,
                   *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))
        return {"postgres": port}


def servers(t):
    """The servers of this lab."""
    if not hasattr(t.lab, "servers"):
        t.lab.servers = Servers(t)
    return t.lab.servers
