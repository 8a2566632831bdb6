"""Timing of whole processes, alternating what is compared, and a relay that delays."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

EMPTY_TYPER = "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None:\n    print('hello')\napp()\n"


@cache
def installed(commit: str = "") -> Path:
    """Return the programs' folder of an environment with vpnctl as users have it: the wheel, compiled to bytecode.

    `commit` names the state of this repository that is built; without it, the files as they are now. What vpnctl depends
    on is taken from the environment that runs the bench.
    """
    home = Path(tempfile.mkdtemp(prefix="vpnctl-wheel-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    source = Path(__file__).parents[1]
    if commit:
        _quietly(["git", "-C", str(source), "archive", "-o", str(home / "source.tar"), commit])
        source = home / "source"
        shutil.unpack_archive(home / "source.tar", source, filter="data")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    _quietly([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(home), str(source)])
    _quietly([sys.executable, "-m", "venv", "--without-pip", str(home / "venv")])
    site = next((home / "venv/lib").glob("python*")) / "site-packages"
    (site / "bench-dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    wheel = next(home.glob("*.whl"))
    _quietly([*pip, "--python", str(home / "venv/bin/python"), "install", "--no-deps", "--compile", str(wheel)])
    return home / "venv/bin"


def _quietly(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def timed(argv: Sequence[str], env: dict[str, str] | None = None, stdin: str = "") -> float:
    """Run a whole process and return its seconds of wall time; it must succeed."""
    start = time.perf_counter()
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.returncode}: {done.stderr[-800:]}")
    return took


def race(runs: int, **contenders: Callable[[], float]) -> dict[str, float]:
    """Run the contenders in turn `runs` times; return the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, work in contenders.items():
            times[name].append(work())
    return {name: statistics.median(each) for name, each in times.items()}


def peak_mib(argv: Sequence[str], env: dict[str, str]) -> float:
    """Return the largest resident set of a process, in MiB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], env=env, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


class Relay:
    """Listens on loopback and passes bytes on to a node's sshd, each way after half the round trip."""

    def __init__(self, targets: Sequence[str], seconds: float) -> None:
        self.ports: list[int] = []
        self._half = seconds / 2
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(targets, ready), daemon=True).start()
        ready.wait()

    def _serve(self, targets: Sequence[str], ready: threading.Event) -> None:
        async def main() -> None:
            servers = []
            for target in targets:
                servers.append(await asyncio.start_server(lambda r, w, t=target: self._pass(r, w, t), "127.0.0.1", 0))
            self.ports = [server.sockets[0].getsockname()[1] for server in servers]
            ready.set()
            await asyncio.gather(*(server.serve_forever() for server in servers))

        asyncio.run(main())

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
        await asyncio.sleep(self._half * 2)  # the three-way handshake costs a round trip too
        far_reader, far_writer = await asyncio.open_connection(target, 22)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due, chunk = await queue.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not chunk:
                    writer.close()
                    return
                writer.write(chunk)

        sender = asyncio.create_task(send())
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                queue.put_nowait((time.monotonic() + self._half, chunk))
        queue.put_nowait((time.monotonic() + self._half, b""))
        await sender


def clean_env(home: Path) -> dict[str, str]:
    """Return an environment with a state of its own."""
    state = {"VPNCTL_STATE_DIR": str(home / "state"), "VPNCTL_KEY_FILE": str(home / "vault.key"), "HOME": str(home)}
    return {**os.environ, **state}
