"""The database file of SQLite: that it is there and private, and who may use it beside an upgrade."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from vpnctl import filelock
from vpnctl.errors import Busy, StateTrouble


def on_read_only_disk(path: Path) -> bool:
    """Return whether nothing can be written beside the database, whoever we are."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def read_only_url(path: Path) -> str:
    """Return a URL that only reads. Without a log beside it the file alone is the database (sqlite.org/wal.html, 5)."""
    log = path.with_name(path.name + "-wal")
    whole = "" if log.exists() and log.stat().st_size else "&immutable=1"
    return f"sqlite:///file:{quote(str(path))}?mode=ro{whole}&uri=true"


def must_be_there(path: Path, *, create: bool) -> None:
    """Make sure the file exists; a new one is private from its first moment, and so are its -wal and -shm."""
    try:
        if path.exists():
            return
        if create:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            return
    except OSError as error:
        raise StateTrouble(
            f"cannot use {path}: {error.strerror}", "run vpnctl as the user that ran `vpnctl init`"
        ) from None
    raise StateTrouble(f"there is no database {path}", "vpnctl init")


def lock(path: Path, *, exclusive: bool) -> int | None:
    """Hold `DATABASE.lock`, shared or exclusive, until the process ends. None on a read-only disk."""
    try:
        handle = filelock.take(path.with_name(path.name + ".lock"), shared=not exclusive)
    except PermissionError:
        raise StateTrouble(
            f"cannot use {path.parent}: permission denied", "run vpnctl as the user that ran `vpnctl init`"
        ) from None
    except OSError:
        return None
    if handle is None:
        if exclusive:
            raise Busy("another vpnctl is using the database", "wait for it, stop the bot and timers, try again")
        raise Busy("the database is being upgraded or its keys rotated", "try again in a minute")
    return handle
