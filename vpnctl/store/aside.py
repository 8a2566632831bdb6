"""A folder for what must not stay: a database with all its secrets, while a backup is written or opened."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from vpnctl import filelock

PREFIX = ".vpnctl-aside-"
_LOCK = "lock"
_YOUNG = 5.0
"""Seconds."""


@contextlib.contextmanager
def private_folder(base: Path | None) -> Iterator[Path]:
    """A new folder in `base` (None: the system's for temporary files), readable by us alone and gone in the end.

    A request to end (SIGTERM, SIGHUP) ends it too. What a killed process has left is removed by the next one.
    """
    where = base or Path(tempfile.gettempdir())
    _sweep(where)
    found = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    held = filelock.take(found / _LOCK)
    try:
        with _ended_by_signals():
            yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)
        if held is not None:
            os.close(held)


def _sweep(where: Path) -> None:
    """Remove such folders of ours that no living process holds. One that was made just now may not be held yet."""
    for left in where.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = left.stat()
            mine = found.st_uid == os.geteuid() and time.time() - found.st_mtime > _YOUNG
            if mine and not filelock.is_held(left / _LOCK):
                shutil.rmtree(left)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
