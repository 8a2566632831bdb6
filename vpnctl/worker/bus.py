"""Workers on NATS: one of them publishes what was committed, all of them take nodes off the queue.

A node's message is acknowledged once the node was seen to agree; until then it is delivered again. Without NATS,
workers hear of commits from the database alone, and find the rest by looking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from vpnctl import errors
from vpnctl.actions.exclusive import exclusive
from vpnctl.app import App
from vpnctl.bus import publishing
from vpnctl.bus.connection import Bus, BusTrouble
from vpnctl.bus.streams import ACK_SECONDS, WORK_STREAM, WORKERS
from vpnctl.errors import Busy
from vpnctl.rules.published import WORK
from vpnctl.store.queue import pending_nodes
from vpnctl.worker.settling import AGAIN, Healer

LOOK, TAKEOVER, FETCH = 5.0, 2.0, 1.0
"""Seconds: between looks when nobody says that something came, until another one's end is looked for, of one fetch."""
CONTESTED = 0.5
"""Seconds until a node comes back that another worker is at."""


class Publisher:
    """Publishes events and calls for work. `fall_back` is called where that cannot be done."""

    def __init__(self, app: App, bus: Bus, fall_back: Callable[[], None], log: Callable[[str], None]) -> None:
        self._app, self._bus, self._fall_back, self._log = app, bus, fall_back, log
        self._due = threading.Event()
        self._said = ""

    def wake(self) -> None:
        """Look now."""
        self._due.set()

    def work(self, stop: threading.Event) -> None:
        """Be the one that publishes, or wait to be, until told to stop."""
        while not stop.is_set():
            try:
                with exclusive(self._app, "bus", Busy("another worker publishes")):
                    self._publish(stop)
            except Busy:
                self._due.clear()  # whoever publishes hears of it too
                stop.wait(TAKEOVER)
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(errors.told(error))
                stop.wait(TAKEOVER)

    def _publish(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._due.clear()
            try:
                publishing.call_for_work(self._app, self._bus)
                while publishing.publish(self._app, self._bus) == publishing.BATCH:
                    pass
                self._tell("")
            except BusTrouble as error:
                self._tell(error.what)
                self._fall_back()
            self._due.wait(LOOK)

    def _tell(self, trouble: str) -> None:
        """Say once that it goes wrong, and once that it is over."""
        if trouble != self._said:
            self._log(trouble or "NATS is back")
            self._said = trouble


class Taker:
    """Takes nodes off the queue for a healer."""

    def __init__(self, app: App, bus: Bus, healer: Healer, log: Callable[[str], None]) -> None:
        self._app, self._bus, self._healer, self._log = app, bus, healer, log
        self._held: dict[str, Any] = {}
        """Node -> its message, which is not acknowledged yet."""
        self._told: dict[str, float] = {}
        self._queue: Any = None

    def work(self, stop: threading.Event) -> None:
        """Take until told to stop; what is held then comes to another worker."""
        while not stop.is_set():
            try:
                self._take()
                self._review()
            except BusTrouble:
                self._queue = None
                self._held.clear()  # they are delivered again
                stop.wait(LOOK)
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(errors.told(error))
                stop.wait(LOOK)

    def _take(self) -> None:
        room = self._healer.settler.room()
        if room < 1:
            threading.Event().wait(FETCH / 10)
            return
        for message in self._bus.call(lambda stream: self._fetch(stream, room), FETCH + 5):
            node_id = message.subject.removeprefix(f"{WORK}.")
            self._held[node_id] = message
            self._healer.offer([node_id])

    async def _fetch(self, stream: Any, room: int) -> list[Any]:
        from nats.errors import TimeoutError as NothingCame

        if self._queue is None:
            self._queue = await stream.pull_subscribe_bind(WORKERS, WORK_STREAM)
        try:
            found: list[Any] = await self._queue.fetch(room, timeout=FETCH)
            return found
        except NothingCame:
            return []

    def _keep(self, message: Any) -> None:
        """Say now and then that a node is still being settled, or another worker would get it."""
        now = time.monotonic()
        if now - self._told.get(message.subject, 0.0) >= ACK_SECONDS / 4:
            self._told[message.subject] = now
            self._bus.call(partial(_in_progress, message))

    def _review(self) -> None:
        """Acknowledge what agrees; have come back what does not."""
        for node_id, message in list(self._held.items()):
            if self._healer.settler.working(node_id):
                self._keep(message)
                continue
            with self._app.store.read() as tx:
                pending = bool(pending_nodes(tx, self._app.clock(), node_id))
            pause = AGAIN if self._healer.settler.stuck(node_id) else CONTESTED
            self._bus.call(partial(_answer, message, pause if pending else None))
            del self._held[node_id]
            self._told.pop(message.subject, None)


async def _in_progress(message: Any, _stream: Any) -> None:
    """Say that it is still being worked on."""
    await message.in_progress()


async def _answer(message: Any, pause: float | None, _stream: Any) -> None:
    """Acknowledge a message, or have it come back after a pause."""
    await (message.ack() if pause is None else message.nak(delay=pause))
