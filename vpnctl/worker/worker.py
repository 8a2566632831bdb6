"""Whoever wrote, the worker settles what came up and sends what waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from vpnctl.actions.fleet.side_by_side import load_everything
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.worker.cashier import Cashier
from vpnctl.worker.hearing import Ear
from vpnctl.worker.rate_limit import shared_rate_limit
from vpnctl.worker.sending import Sender
from vpnctl.worker.settling import Healer, Settler

WATCH = 5.0
"""Seconds between looks at its own threads."""
PICTURES = ("qrcode", "PIL.PngImagePlugin")
"""What the first QR code would import while somebody waits for it."""


class Worker:
    """Settling, healing and sending, by threads of this process."""

    def __init__(self, app: App, log: Callable[[str], None]) -> None:
        limit = shared_rate_limit(app.settings)
        self._stop = threading.Event()
        self._sender = Sender(app, limit.wait, log)
        self._settler, healer = Settler(app, self._sender.wake, log), Healer(app, self._sender.wake, log)
        self._cashier = Cashier(app, self._settler.ask, self._sender.wake, log)
        self._healer = healer
        ear = Ear(app, healer.wake, self._sender.wake, self._cashier.wake)
        self._threads = [
            threading.Thread(target=self._cashier.work, args=(self._stop,), name="cash"),
            threading.Thread(target=self._sender.work, args=(self._stop,), name="send"),
            threading.Thread(target=healer.work, args=(self._stop,), name="heal"),
            threading.Thread(target=ear.work, args=(self._stop,), name="hear"),
        ]

    def start(self) -> None:
        """Begin with what an earlier life left."""
        load_everything(*PICTURES)
        for thread in self._threads:
            thread.start()

    def ask(self, node_ids: Collection[str]) -> None:
        """Have nodes settled and the outbox sent."""
        self._settler.ask(node_ids)
        self._sender.wake()
        self._cashier.wake()

    def is_alive(self) -> bool:
        """Say whether all of it works, or was told to end."""
        return self._stop.is_set() or all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Let what began finish; the rest is found by the next start."""
        self._stop.set()
        self._healer.wake()
        self._sender.wake()
        self._cashier.wake()
        for thread in self._threads:
            thread.join()
        self._settler.close()


def run(app: App, log: Callable[[str], None], stop: threading.Event) -> int:
    """Work until `stop` is set. Raises VpnctlError when a part of it died."""
    worker = Worker(app, log)
    worker.start()
    log("the worker settles nodes and sends messages")
    try:
        while not stop.wait(WATCH):
            if not worker.is_alive():
                raise VpnctlError("a part of the worker died", "start it again; please report this")
    finally:
        worker.close()
    return 0
