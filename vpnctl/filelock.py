"""Locks between processes of one machine. The kernel frees that of a killed process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def take(path: Path, *, shared: bool = False) -> int | None:
    """Return a handle that holds the lock until it is closed; None when another process holds it.

    Raises OSError when the file cannot be used.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if _flock(handle, shared=shared):
        return handle
    os.close(handle)
    return None


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Hold the lock in a context; its value says whether it was free. Raises OSError like `take`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = take(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a process of this machine holds that lock; False when there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not _flock(handle, shared=True)
    finally:
        os.close(handle)


@contextmanager
def within(handle: int) -> Iterator[None]:
    """Wait for the lock of an open file, and hold it for a moment."""
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def _flock(handle: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
