"""People's tunnels in this process, without an interface each: what a client's file carries, and what is lost meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab.network import FAR_V4
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import Credentials
from vpnctl.remote import probe
from vpnctl.remote.tunnel import Tunnel
from vpnctl.rules.secret import Secret

PAUSE = 0.05
"""Seconds between two pings of one client: twenty a second."""


def tunnel(file: str, host: str) -> Tunnel | None:
    """Open the tunnel of a WireGuard file to a server at `host`; None where it does not answer."""
    said = dict(line.split(" = ", 1) for line in file.splitlines() if " = " in line)
    shared = Secret(said["PresharedKey"]) if "PresharedKey" in said else None
    talk = plugin("wireguard").conversation(said["PublicKey"], Credentials("", Secret(said["PrivateKey"]), shared), {})
    if talk is None:
        raise ValueError("WireGuard has a handshake")
    line = probe.connect(host, int(said["Endpoint"].rpartition(":")[2]))
    if probe.shake_on(line, talk, lambda: divmod(time.time_ns(), 10**9)).verdict is not probe.Verdict.OK:
        line.close()
        return None
    return Tunnel(line, talk.session(), said["Address"].partition("/")[0], FAR_V4)


def passes(file: str, host: str) -> bool:
    """Return whether a ping through the tunnel of a file comes back from the far side, in ten tries."""
    opened = tunnel(file, host)
    return opened is not None and any(opened.ping(1, 0).milliseconds is not None for _ in range(10))


class Pinging(threading.Thread):
    """Pings the far side through all tunnels, round after round, until it is told to end."""

    def __init__(self, tunnels: Sequence[Tunnel]) -> None:
        super().__init__(daemon=True)
        self._tunnels, self._stop_now = tunnels, threading.Event()
        self.sent = self.lost = self.rounds = 0
        self.seconds = 0.0

    def run(self) -> None:
        """See the class."""
        began = time.monotonic()
        while not self._stop_now.is_set():
            due = time.monotonic() + PAUSE
            for each in self._tunnels:
                self.sent += 1
                self.lost += each.ping(1, 0).milliseconds is None
            self.rounds += 1
            time.sleep(max(0.0, due - time.monotonic()))
        self.seconds = time.monotonic() - began

    def close(self) -> str:
        """End it; return what came of it in words."""
        self._stop_now.set()
        self.join()
        rate = self.rounds / self.seconds
        return f"{self.lost} of {self.sent} pings of {len(self._tunnels)} clients lost, {rate:.0f} a second each"


@contextmanager
def pinging(files: Sequence[str], host: str) -> Iterator[Pinging]:
    """Ping through these files until the end; raises ValueError where one of them does not connect."""
    opened = [tunnel(file, host) for file in files]
    found = [each for each in opened if each is not None]
    if len(found) != len(files):
        raise ValueError(f"{len(files) - len(found)} of {len(files)} clients do not connect")
    running = Pinging(found)
    running.start()
    time.sleep(1)
    yield running
    time.sleep(1)
