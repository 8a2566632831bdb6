"""Who writes next: threads in the order of arrival (with the usual lock, who just wrote tends to write again), and
processes as soon as the database is free (SQLite's own waiting looks after up to 100 ms, when another writes again).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from typing import Any

from vpnctl.errors import Busy

SECONDS = 30.0
"""How long one waits for one's turn among the threads of a process."""
LOOK = 0.002
"""Seconds between looks whether another process is done."""


class Turns:
    """A context manager that one thread at a time is in. Not re-entrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if gate.acquire(timeout=SECONDS):
            return
        with self._guard:
            if gate in self._waiting:  # else it was handed over just now
                self._waiting.remove(gate)
                raise Busy("the database is in use without end", "try again")

    def __exit__(self, *_error: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


def begin_writing(connection: Any, seconds: float) -> None:
    """Begin a writing transaction on a connection of `sqlite3`, waiting so long for another process.

    Raises sqlite3.OperationalError when that goes on, or for whatever else is wrong.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        for looks in range(int(seconds / LOOK), -1, -1):
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not looks or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            time.sleep(LOOK)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
