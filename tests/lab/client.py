"""One lab client: a network namespace that brings up the delivered .conf with wg-quick."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import amneziawg
from tests.lab.host import run

if TYPE_CHECKING:
    from tests.lab.network import Lab

RESOLVCONF = '#!/bin/sh\n# Records what wg-quick asks for; this machine\'s own resolver is left alone.\necho "$@" >>"$RESOLVCONF_LOG"\ncat >>"$RESOLVCONF_LOG"\n'


class Client:
    """A user's machine. The file that vpnctl delivered is used byte for byte."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.namespace = f"{lab.name}-c{number}"
        self.interface = f"{lab.name}c{number}w0"
        self.address = f"{lab.prefix}.2.{number}"
        self.home = lab.home / f"client{number}"
        self._connected = False
        self._quick = "wg-quick"

    def up(self) -> None:
        self.home.mkdir()
        stub = self.home / "bin/resolvconf"
        stub.parent.mkdir()
        stub.write_text(RESOLVCONF)
        stub.chmod(0o755)
        self.lab.join(
            self.namespace, f"{self.address}/16", f"{self.lab.prefix6}::2:{self.address.rsplit('.', 1)[1]}/64"
        )

    def connect(self, config: str) -> None:
        """Bring the tunnel up from the text of a .conf (replacing an earlier one)."""
        self.disconnect()
        path = self.home / f"{self.interface}.conf"
        path.write_text(config)
        path.chmod(0o600)
        self._quick = "awg-quick" if "\nH1 = " in config else "wg-quick"
        self._exec(self._quick, "up", str(path))
        self._connected = True

    def disconnect(self) -> None:
        if self._connected:
            self._exec(self._quick, "down", str(self.home / f"{self.interface}.conf"), check=False)
            self._connected = False

    def ping(self, address: str, seconds: float = 5) -> bool:
        """Say whether `address` answers within `seconds`."""
        end = time.monotonic() + seconds
        while True:
            if self._exec_rc("ping", "-n", "-c1", "-W1", address) == 0:
                return True
            if time.monotonic() > end:
                return False

    def silent(self, address: str, tries: int = 3) -> bool:
        """Say whether `address` stays silent for `tries` pings in a row."""
        return all(self._exec_rc("ping", "-n", "-c1", "-W1", address) for _ in range(tries))

    def get(self, address: str) -> str:
        """Fetch the far side's page: the address that it saw us come from."""
        host = f"[{address}]" if ":" in address else address
        return self._exec("curl", "-sS", "-m5", f"http://{host}/")

    def upload(self, address: str, size: int) -> None:
        """Send that many bytes to the far side; raises when they do not arrive."""
        body = self.home / "body"
        body.write_bytes(bytes(size))
        self._exec("curl", "-sS", "-m10", "-T", str(body), f"http://{address}/")

    @contextlib.contextmanager
    def running_ping(self, address: str, interval: float = 0.1) -> Iterator[Path]:
        """Ping all the while; the yielded file holds ping's own summary afterwards."""
        log = self.home / "ping.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "ping", "-n", "-i", str(interval), "-W", "2", address],
                stdout=out,
                stderr=out,
            )
            try:
                time.sleep(0.5)
                yield log
                time.sleep(0.5)
            finally:
                process.send_signal(2)
                process.wait()

    def lost(self, log: Path) -> tuple[int, int]:
        """Return (sent, lost) of a finished running ping. One that was on its way when it was stopped is not lost."""
        lines = log.read_text().splitlines()
        words = next(line for line in lines if "packets transmitted" in line).split()
        sent, received = int(words[0]), int(words[3])
        last = max((int(line.split("icmp_seq=")[1].split()[0]) for line in lines if "icmp_seq=" in line), default=0)
        return sent, sent - received - (1 if sent - last == 1 else 0)

    def down(self) -> None:
        self.disconnect()
        self.lab.leave(self.namespace)

    def _exec(self, *argv: str, check: bool = True) -> str:
        done = self._run(argv)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def _exec_rc(self, *argv: str) -> int:
        return self._run(argv).returncode

    def _run(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        tools = self.lab.base / amneziawg.TOOLS
        env = dict(
            os.environ,
            PATH=f"{self.home / 'bin'}:{tools}:{os.environ['PATH']}",
            RESOLVCONF_LOG=str(self.home / "dns.log"),
        )
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace, *argv],
            stdin=subprocess.DEVNULL,  # the stub of resolvconf reads it, and a terminal never ends
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=env,
        )


def namespaces() -> str:
    return run("ip", "netns", "list")
