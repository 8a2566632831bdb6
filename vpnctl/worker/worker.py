"""Whoever wrote, the worker settles what came up and sends what waits."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from vpnctl.actions.fleet.side_by_side import load_everything
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.remote.warm import WarmConnections
from vpnctl.worker.cashier import Cashier
from vpnctl.worker.claims import Shared
from vpnctl.worker.news import NewsWatch
from vpnctl.worker.presence import Presence
from vpnctl.worker.rate_limit import shared_rate_limit
from vpnctl.worker.sending import Sender
from vpnctl.worker.settling import Healer, Settler

WATCH = 5.0
"""Seconds between looks at its own threads."""
PICTURES = ("qrcode", "PIL.PngImagePlugin")
"""What the first QR code would import while somebody waits for it."""


class Worker:
    """Settling, healing and sending, by threads of this process; with `jobs`, the jobs too.

    Where several machines share a PostgreSQL database, workers agree by leases on who settles which node.
    """

    def __init__(self, app: App, log: Callable[[str], None], *, jobs: bool = False) -> None:
        self.id = str(uuid.uuid4())
        self._warm = WarmConnections(app.connect)
        app = replace(app, connect=self._warm.connect)
        self._stop = threading.Event()
        self._sender = Sender(app, shared_rate_limit(app.settings).wait, log)
        claims = Shared(app, self.id) if app.store.path is None else None
        self._settler = Settler(app, self._sender.wake, log)
        self._healer = Healer(app, self._sender.wake, log, claims)
        self._shared = claims is not None
        self._cashier = Cashier(app, self._settle, self._sender.wake, log)
        self._bus: Any = None
        on_bus = self._open_bus(app, log) if app.settings.nats_url else {}
        look = on_bus["publish"].wake if on_bus else self._healer.wake
        news = NewsWatch(app, look, self._sender.wake, self._cashier.wake)
        parts: dict[str, Any] = {"cash": self._cashier, "send": self._sender, "heal": self._healer, "news": news}
        parts |= on_bus
        parts |= {"presence": Presence(app, self.id, self._figures, log)}
        if jobs:
            from vpnctl.worker.rounds import Rounds

            parts["jobs"] = Rounds(app, self.id, log)
        self._threads = [
            threading.Thread(target=part.work, args=(self._stop,), name=name) for name, part in parts.items()
        ]

    def _open_bus(self, app: App, log: Callable[[str], None]) -> dict[str, Any]:
        from vpnctl.bus.connection import Bus
        from vpnctl.worker.bus import Publisher, Taker

        self._bus = Bus(app.settings)
        publisher = Publisher(app, self._bus, self._healer.wake, log)
        return {"publish": publisher, "take": Taker(app, self._bus, self._healer, log)}

    def _figures(self) -> tuple[int, int]:
        return self._settler.settled + self._healer.settler.settled, self._warm.count()

    def _settle(self, node_ids: Collection[str]) -> None:
        if self._shared:
            self._healer.wake()
        else:
            self._settler.ask(node_ids)

    def start(self) -> None:
        """Begin with what an earlier life left."""
        load_everything(*PICTURES)
        for thread in self._threads:
            thread.start()

    def ask(self, node_ids: Collection[str]) -> None:
        """Have nodes settled and the outbox sent."""
        self._settle(node_ids)
        self._sender.wake()
        self._cashier.wake()

    def is_alive(self) -> bool:
        """Say whether all of it works, or was told to end."""
        return self._stop.is_set() or all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Let what began finish; the rest is found by the next start."""
        self._stop.set()
        for part in (self._healer, self._sender, self._cashier):
            part.wake()
        for thread in self._threads:
            thread.join()
        self._settler.close()
        self._warm.close()
        if self._bus is not None:
            self._bus.close()


def run(app: App, log: Callable[[str], None], stop: threading.Event, *, jobs: bool = False) -> int:
    """Work until `stop` is set. Raises VpnctlError when a part of it died."""
    worker = Worker(app, log, jobs=jobs)
    worker.start()
    log(f"the worker settles nodes and sends messages{', and runs the jobs' if jobs else ''}")
    try:
        while not stop.wait(WATCH):
            if not worker.is_alive():
                raise VpnctlError("a part of the worker died", "start it again; please report this")
    finally:
        worker.close()
    return 0
