"""One settle per node and machine at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vpnctl.app import App
from vpnctl.errors import Busy
from vpnctl.store.rows import Node

SECONDS = 45.0
"""How long a settle waits for another one of this machine on the same node."""


@contextmanager
def hold(app: App, node: Node) -> Iterator[None]:
    """Let the settles of this machine pass one by one per node; the kernel frees the lock of a killed one."""
    folder = app.settings.state_dir / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / node.id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield  # a read-only disk: the node's own lock and token still hold
        return
    try:
        _wait(lambda: _flock(handle), node)
        yield
    finally:
        os.close(handle)


def _wait(ready: Callable[[], bool], node: Node) -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > end:
            raise Busy(f"{node.name}: another vpnctl of this machine is at work there", "vpnctl status")
        time.sleep(0.05)


def _flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
