"""A person's device whatever it connects by: the client that their protocol has, fed with what vpnctl hands out."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import cores
from tests.lab.network import FAR_V4

if TYPE_CHECKING:
    from tests.lab.client import Client
    from tests.lab.conftest import Operator

TUNNELS = ("wireguard", "amneziawg")
PORT = 7890
"""Where mihomo listens for the device's own programs."""


class Phone:
    """One device of one person. `ref` is USER/DEVICE."""

    def __init__(self, client: Client, ref: str) -> None:
        self.client, self.ref = client, ref
        self._proxy: subprocess.Popen[bytes] | None = None

    def connect(self, operator: Operator, protocol: str) -> None:
        """Connect with what vpnctl hands out now: a file for a tunnel, else the person's link read by mihomo."""
        user = self.ref.partition("/")[0]
        ask = ("peer", "config", self.ref) if protocol in TUNNELS else ("user", "link", user, "--format", "mihomo")
        self.use(protocol, operator(*ask).out)

    def use(self, protocol: str, text: str) -> None:
        """Connect with that text."""
        self.disconnect()
        if protocol in TUNNELS:
            self.client.connect(text)
            return
        device = self.ref.partition("/")[2]
        path = self.client.home / "mihomo.yaml"
        path.write_text(_only(text, device))
        self._start(path)

    def _start(self, path: Path) -> None:
        tool = self.client.lab.base / cores.TOOLS / "mihomo"
        inside = ("ip", "netns", "exec", self.client.namespace)
        log = (self.client.home / "mihomo.log").open("ab")
        self._proxy = subprocess.Popen(
            [*inside, str(tool), "-d", str(self.client.home), "-f", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + 20
        while subprocess.run([*inside, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{PORT}"], capture_output=True, check=False).returncode:  # fmt: skip
            assert time.monotonic() < end, (self.client.home / "mihomo.log").read_text()[-2000:]
            time.sleep(0.1)

    def disconnect(self) -> None:
        """Go offline."""
        self.client.disconnect()
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait()
            self._proxy = None

    def _curl(self, *more: str, seconds: int = 5) -> list[str]:
        way = ("--socks5-hostname", f"127.0.0.1:{PORT}") if self._proxy else ()
        return ["ip", "netns", "exec", self.client.namespace, "curl", "-sS", f"-m{seconds}", *way, *more]

    def get(self, address: str = FAR_V4, seconds: int = 3) -> str:
        """Return the address that the far side saw us come from; empty when nothing came back."""
        host = f"[{address}]" if ":" in address else address
        done = subprocess.run(
            self._curl(f"http://{host}/", seconds=seconds), capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def reaches(self, seconds: float = 20) -> bool:
        """Say whether the far side answers within `seconds`."""
        end = time.monotonic() + seconds
        while not self.get():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def cut(self) -> bool:
        """Say whether nothing answers, three times in a row."""
        return not any(self.get(seconds=1) for _ in range(3))

    def upload(self, size: int) -> None:
        """Send that many bytes to the far side; raises when they do not arrive."""
        body = self.client.home / "body"
        body.write_bytes(bytes(size))
        subprocess.run(self._curl("-T", str(body), f"http://{FAR_V4}/", seconds=20), check=True, capture_output=True)

    @contextlib.contextmanager
    def uploading(self, seconds: int = 60) -> Iterator[subprocess.Popen[bytes]]:
        """Send something all the while, slowly; the process ends by itself only when its connection does."""
        body = self.client.home / "long"
        body.write_bytes(bytes(200_000_000))
        process = subprocess.Popen(
            self._curl("--limit-rate", "1M", "-T", str(body), f"http://{FAR_V4}/", seconds=seconds),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(1)
            assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.wait()


def _only(text: str, device: str) -> str:
    """Return a link's text with one device chosen, as a person does in the app."""
    import yaml

    whole = yaml.safe_load(text)
    (name,) = [each["name"] for each in whole["proxies"] if re.fullmatch(rf"\S+ {device}", each["name"])]
    whole["proxy-groups"][0]["proxies"] = [name]
    whole["mixed-port"] = PORT
    return json.dumps(whole)
