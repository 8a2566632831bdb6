"""A bridge, an "internet" behind it, nodes and clients: one laboratory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.lab import host, image
from tests.lab.client import Client
from tests.lab.host import run
from tests.lab.node import Node

LABS = 8
AT_ONCE = 10
LOCKS = Path("/run/vpnctl-lab")
FAR_V4, FAR_V6 = "10.200.0.1", "fd00:200::1"
"""Addresses of the far side. Only nodes have a route to them: a client gets there by tunnel or not at all."""

ECHO = """
import http.server, socket
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = bytes(range(256)) * 12288 if self.path == "/blob" else self.client_address[0].removeprefix("::ffff:").encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 65536))) or left
        self.send_response(204); self.end_headers()
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
import ssl, sys, threading
tls = Server(("::", 443), Echo)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=tls.serve_forever, daemon=True).start()
Server(("::", 80), Echo).serve_forever()
"""
BLOB = 256 * 12288
"""How many bytes the far side's page `/blob` has."""
SITE = "site.example.org"
"""The name of the far side's TLS."""


class Lab:
    """Takes a free number (so that several labs run side by side), names everything after it, cleans up after it."""

    def __init__(self, say: Callable[[str], None] = lambda _text: None) -> None:
        self.say = say
        self.nodes: list[Node] = []
        self.clients: list[Client] = []

    def __enter__(self) -> Lab:
        host.install()
        self.base = image.base(self.say)
        self.number, self._lock = _free_number()
        self.name = f"vl{self.number}"
        self.prefix = f"10.{100 + self.number}"
        self.prefix6 = f"fd{self.number:02d}:99"
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=image.cache()))
        self.home.chmod(0o755)
        self._sweep()
        self._up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.down()
        for node in self.nodes:
            node.destroy()
        self.echo.terminate()
        self.echo.wait()
        self._sweep()
        shutil.rmtree(self.home, ignore_errors=True)
        self._lock.close()

    def node(self, *, hostname: str = "", suite: str = image.SUITE) -> Node:
        """Boot one more bare server and wait until its sshd answers."""
        number = len(self.nodes) + 1
        node = Node(self, number, hostname, image.base(self.say, suite))
        self.nodes.append(node)
        node.up()
        return node

    def fleet(self, count: int) -> list[Node]:
        """Boot `count` servers side by side."""
        nodes = [Node(self, len(self.nodes) + 1 + index) for index in range(count)]
        self.nodes.extend(nodes)
        _allow_watches(count)
        for start in range(0, count, AT_ONCE):
            for node in nodes[start : start + AT_ONCE]:
                node.start()
            for node in nodes[start : start + AT_ONCE]:
                node.wait()
        return nodes

    def client(self) -> Client:
        """Make one more machine of a user: a network namespace on the same bridge."""
        client = Client(self, len(self.clients) + 1)
        self.clients.append(client)
        client.up()
        return client

    def _up(self) -> None:
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "link", "set", self.name, "up")
        run("ip", "addr", "add", f"{self.prefix}.0.2/16", "dev", self.name)
        run("ip", "addr", "add", f"{self.prefix6}::2/64", "dev", self.name, "nodad")
        far = f"{self.name}-far"
        self.join(far, f"{self.prefix}.0.1/16", f"{self.prefix6}::1/64")
        run("ip", "-n", far, "addr", "add", f"{FAR_V4}/32", "dev", "lo")
        run("ip", "-n", far, "addr", "add", f"{FAR_V6}/128", "dev", "lo", "nodad")
        self.certificate = self._certified()
        self.echo = subprocess.Popen(
            ["ip", "netns", "exec", far, sys.executable, "-c", ECHO, str(self.certificate)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _certified(self) -> Path:
        """Return a file with a key and a certificate of `SITE`, made for this laboratory."""
        path = self.home / "site.pem"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path))
        name = ("-subj", f"/CN={SITE}", "-addext", f"subjectAltName=DNS:{SITE},IP:{FAR_V4}")
        made = run("openssl", "req", "-x509", "-days", "30", *key, *name)
        path.write_text(path.read_text() + made)
        return path

    def join(self, namespace: str, *addresses: str) -> None:
        """Make a namespace whose eth0 is on the bridge."""
        outside = f"v{namespace}"[:15]
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", outside, "master", self.name, "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        for address in addresses:
            run("ip", "-n", namespace, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        run("ip", "-n", namespace, "link", "set", "eth0", "up")

    def leave(self, namespace: str) -> None:
        for process in run("ip", "netns", "pids", namespace, check=False).split():
            with contextlib.suppress(ProcessLookupError):  # a wireguard-go that stayed would keep its socket's name
                os.kill(int(process), signal.SIGKILL)
        run("ip", "netns", "del", namespace, check=False)
        run("ip", "link", "del", f"v{namespace}"[:15], check=False)

    def note(self, process: int) -> None:
        """Remember a process of this lab, so that the next lab of this number can end it if we are killed."""
        with (LOCKS / f"{self.number}.pids").open("a") as pids:
            pids.write(f"{process}\n")

    def _sweep(self) -> None:
        """Remove what an earlier, killed lab with this number left behind; touch no other name."""
        pids = LOCKS / f"{self.number}.pids"
        for line in pids.read_text().split() if pids.exists() else ():
            _end(int(line), f"{self.name}-")
        pids.unlink(missing_ok=True)
        for line in run("ip", "netns", "list").splitlines():
            namespace = line.split()[0]
            if namespace.startswith(f"{self.name}-"):
                self.leave(namespace)
        run("ip", "link", "del", self.name, check=False)


def _allow_watches(count: int) -> None:
    """Every systemd wants about six inotify instances; the usual limit of 128 is reached by twenty nodes."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < 64 + 8 * count:
        limit.write_text(str(64 + 8 * count))


def _end(process: int, mark: str) -> None:
    """End a server that a killed lab left running: only if that id still is a systemd-nspawn of this lab."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
        leaders = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    if words[0].endswith("systemd-nspawn") and any(word.startswith(mark) for word in words):
        for leader in leaders:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(leader), signal.SIGKILL)


def _free_number() -> tuple[int, object]:
    LOCKS.mkdir(parents=True, exist_ok=True)
    for number in range(1, LABS + 1):
        lock = (LOCKS / str(number)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        os.set_inheritable(lock.fileno(), False)
        return number, lock
    raise RuntimeError(f"{LABS} labs are running already")
