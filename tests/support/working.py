"""A worker in a thread of the tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vpnctl.app import App
from vpnctl.worker import worker


@contextmanager
def working(app: App) -> Iterator[list[str]]:
    """Let a worker work meanwhile; its value is what the worker says."""
    stop, log = threading.Event(), []
    thread = threading.Thread(target=worker.run, args=(app, log.append, stop))
    thread.start()
    yield log
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
