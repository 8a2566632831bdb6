"""Asking who takes payments whenever it is due, beside settling and sending: no message waits for a slow provider."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from vpnctl import errors
from vpnctl.actions.sales.rounds import rounds
from vpnctl.app import App

LOOK = 3.0
"""Seconds between looks when nobody says that something is due."""


class Cashier:
    """Asks providers, and has the nodes settled of who paid."""

    def __init__(
        self, app: App, settle: Callable[[Collection[str]], None], told: Callable[[], None], log: Callable[[str], None]
    ) -> None:
        self._app, self._settle, self._told, self._log = app, settle, told, log
        self._due = threading.Event()

    def wake(self) -> None:
        """Look now."""
        self._due.set()

    def work(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            self._due.clear()
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - money must go on
                self._log(errors.told(error))
                stop.wait(LOOK)
            self._due.wait(LOOK)

    def _round(self) -> None:
        for done in rounds(self._app):
            if done.node_ids:
                self._settle(done.node_ids)
            if done.counts:
                self._told()
            for line in done.troubles:
                self._log(line)
