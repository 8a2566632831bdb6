"""One settle per node and machine at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vpnctl import filelock
from vpnctl.app import App
from vpnctl.errors import Busy
from vpnctl.store.rows import Node

SECONDS = 45.0
"""How long a settle waits for another one of this machine on the same node."""


@contextmanager
def hold(app: App, node: Node) -> Iterator[None]:
    """Let the settles of this machine pass one by one per node; the kernel frees the lock of a killed one."""
    path = app.settings.state_dir / "locks" / node.id
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = _wait(path, node)
    except OSError:
        yield  # a read-only disk: the node's own lock and token still hold
        return
    try:
        yield
    finally:
        os.close(handle)


def _wait(path: Path, node: Node) -> int:
    end = time.monotonic() + SECONDS
    while (handle := filelock.take(path)) is None:
        if time.monotonic() > end:
            raise Busy(f"{node.name}: another vpnctl of this machine is at work there", "vpnctl status")
        time.sleep(0.05)
    return handle
