"""Hearing at once that somebody committed what others wait for, whichever process and machine it was.

PostgreSQL tells by NOTIFY, sent in the transaction itself (`Tx.wake`, and every event). SQLite tells nobody: there the
version of the file is looked at, which costs microseconds, and the ends of the tables that somebody waits for.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from vpnctl.store.connection import CHANNEL
from vpnctl.store.engine import Store

LOOK = 0.05
"""Seconds between two looks at the version of a SQLite file."""
_ENDS = (
    "SELECT (SELECT max(seq) FROM event), (SELECT max(seq) FROM inbox), (SELECT max(rowid) FROM webhook_event),"
    " (SELECT max(rowid) FROM notice)"
)


class NewsListener:
    """A connection of its own that listens. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Any = None
        self._seen: tuple[Any, Any] = (None, None)

    def wait(self, seconds: float) -> bool:
        """Return whether something was committed, as soon as it was, or False after so long.

        True too when the connection was opened, at first and anew: there may be news that nobody heard.
        """
        try:
            if self._connection is None:
                self._open()
                return True
            return self._told(seconds) if self._store.path is None else self._looked(seconds)
        except Exception:  # noqa: BLE001 - a driver's own errors: whoever waits looks for itself, and we listen anew
            self.close()
            time.sleep(min(seconds, 1.0))
            return False

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _open(self) -> None:
        pooled = self._store.engine.raw_connection()
        raw: Any = pooled.driver_connection
        pooled.detach()
        if self._store.path is None:
            raw.autocommit = True
            raw.execute(f"LISTEN {CHANNEL}")
        self._connection = raw

    def _told(self, seconds: float) -> bool:
        return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))

    def _looked(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while True:
            version = self._connection.execute("PRAGMA data_version").fetchone()
            if version != self._seen[0]:
                ends = self._connection.execute(_ENDS).fetchone()
                news, self._seen = ends != self._seen[1], (version, ends)
                if news:
                    return True
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK)
