"""Sending the outbox whenever something in it is due."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vpnctl import errors
from vpnctl.actions.talk import delivery
from vpnctl.app import App

LOOK = 3.0
"""Seconds between looks at the outbox when nobody says that something is in it."""


class Sender:
    """Sends the outbox whenever something is due."""

    def __init__(self, app: App, turn: Callable[[], None], log: Callable[[str], None]) -> None:
        self._app, self._turn, self._log = app, turn, log
        self._due = threading.Event()

    def wake(self) -> None:
        """Look now."""
        self._due.set()

    def work(self, stop: threading.Event) -> None:
        """Send until told to stop."""
        while not stop.is_set():
            self._due.clear()
            try:
                delivery.deliver(self._app, self._turn)
            except Exception as error:  # noqa: BLE001 - the outbox must go on
                self._log(errors.told(error))
                stop.wait(LOOK)
            self._due.wait(LOOK)
