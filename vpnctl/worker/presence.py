"""What a worker says of itself in the database, for whoever looks after them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from vpnctl import errors
from vpnctl.app import App
from vpnctl.rules.grammar import clean
from vpnctl.store import models
from vpnctl.store.serving_rows import WorkerRow

BEAT = 10.0
"""Seconds between two signs of life."""


class Presence:
    """Signs of life. `figures` returns (nodes brought to agree, connections kept)."""

    def __init__(
        self, app: App, worker_id: str, figures: Callable[[], tuple[int, int]], log: Callable[[str], None]
    ) -> None:
        self._app, self._id, self._figures, self._log = app, worker_id, figures, log

    def work(self, stop: threading.Event) -> None:
        """Say that it lives until told to stop, and then that it stopped."""
        self._say(first=True)
        while not stop.wait(BEAT):
            self._say()
        self._say(last=True)

    def _say(self, *, first: bool = False, last: bool = False) -> None:
        now = self._app.clock()
        settled, connections = self._figures()
        values = {"seen_at": now, "settled": settled, "connections": connections, "stopped_at": now if last else None}
        row = WorkerRow(
            id=self._id,
            host=clean(socket.gethostname(), 64),
            pid=os.getpid(),
            started_at=now,
            seen_at=now,
        )
        try:
            with self._app.store.write() as tx:
                if not tx.update(WorkerRow, models.worker.c.id == self._id, **values) and not last:
                    tx.insert(row)
        except Exception as error:  # noqa: BLE001 - work goes on, whether or not it can be said
            if first:
                self._log(errors.told(error))
