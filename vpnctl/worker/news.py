"""Hearing that others committed something: whoever wrote it, and on whichever machine, it is looked at now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vpnctl.app import App
from vpnctl.store.listening import NewsListener

PAUSE = 0.25
"""Seconds between two calls: what is committed meanwhile is seen by the next look."""
TICK = 1.0


class NewsWatch:
    """Calls whoever waits for news."""

    def __init__(self, app: App, *wake: Callable[[], None]) -> None:
        self._listener, self._wake = NewsListener(app.store), wake

    def work(self, stop: threading.Event) -> None:
        """Listen until told to stop."""
        while not stop.is_set():
            if self._listener.wait(TICK):
                for wake in self._wake:
                    wake()
                time.sleep(PAUSE)
        self._listener.close()
