"""Stripe's own mock, which knows its whole API description: pinned, built with Go once, and kept for later runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = "github.com/stripe/stripe-mock@v0.203.0"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpnctl-lab"


def program() -> Path:
    """Return the program, building it where it is not there yet."""
    there = KEPT / "go" / MODULE.rpartition("@")[2] / "stripe-mock"
    if not there.exists():
        go = shutil.which("go")
        assert go is not None, "Go builds stripe-mock: install it (golang.org/dl)"
        there.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([go, "install", MODULE], check=True, env=os.environ | {"GOBIN": str(there.parent)}, timeout=300)
    return there


@contextmanager
def running() -> Iterator[str]:
    """Run it on loopback; the value is its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program()), "-http-addr", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "stripe-mock ended"
                assert time.monotonic() < end, "stripe-mock does not answer"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
