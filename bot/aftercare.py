"""What comes after an update: settling the nodes it concerns, and sending what waits. Threads of their own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bot.pace import shared_pace
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.talk import delivery, handover
from vpnctl.app import App
from vpnctl.errors import PENDING, VpnctlError, bug
from vpnctl.store.queue import pending_nodes

AT_ONCE, HEALING_AT_ONCE = 16, 4
AGAIN = 60.0
"""Seconds until a node that was pending is tried again."""
LOOK = 3.0
"""Seconds between looks at the outbox when nobody says that something is in it."""


class Aftercare:
    """Settling, healing and sending, by threads of this process."""

    def __init__(self, app: App, log: Callable[[str], None]) -> None:
        pace = shared_pace(app.settings)
        self._stop = threading.Event()
        self._post = Post(app, pace.wait, log)
        self._settler, healer = Settler(app, self._post.poke, log), Healer(app, self._post.poke, log)
        self._threads = [
            threading.Thread(target=self._post.work, args=(self._stop,), name="post"),
            threading.Thread(target=healer.work, args=(self._stop,), name="heal"),
        ]

    def start(self) -> None:
        """Begin with what an earlier life left."""
        for thread in self._threads:
            thread.start()

    def ask(self, node_ids: Collection[str]) -> None:
        """Have nodes settled and the outbox sent."""
        self._settler.ask(node_ids)
        self._post.poke()

    def is_alive(self) -> bool:
        """Say whether all of it works, or was told to end."""
        return self._stop.is_set() or all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Let what began finish; the rest is found by the next start."""
        self._stop.set()
        self._post.poke()
        for thread in self._threads:
            thread.join()
        self._settler.close()


class Settler:
    """Makes nodes agree, side by side, one settle a node at a time. `done` is called after each."""

    def __init__(self, app: App, done: Callable[[], None], log: Callable[[str], None], at_once: int = AT_ONCE) -> None:
        self._app, self._done, self._log = replace(app, actor="bot"), done, log
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="settle")
        self._lock = threading.Lock()
        self._working: set[str] = set()
        self._again: set[str] = set()

    def ask(self, node_ids: Collection[str], *, again: bool = True) -> None:
        """Have nodes settled; with `again` one that is being settled once more, for it may have looked too early."""
        with self._lock, contextlib.suppress(RuntimeError):  # the pool is closed: the next start finds what is pending
            for node_id in node_ids:
                if node_id not in self._working:
                    self._pool.submit(self._settle, node_id)
                    self._working.add(node_id)
                elif again:
                    self._again.add(node_id)

    def _settle(self, node_id: str) -> None:
        try:
            for each in settle(self._app, [node_id]):
                if each.code:
                    self._log(f"{each.node}: {each.error}")
                if each.code == PENDING:
                    handover.delayed(self._app, node_id)
        except Exception as error:  # noqa: BLE001 - a thread of a pool dies unseen
            self._log(error.what if isinstance(error, VpnctlError) else bug(error))
        with self._lock:
            self._working.discard(node_id)
            again = node_id in self._again
            self._again.discard(node_id)
        self._done()
        if again:
            self.ask([node_id])

    def close(self) -> None:
        """Let settles that began finish; what was not begun is found by the next start."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Healer:
    """Tries what is pending, at once and then every minute: what a crash left, and nodes that are back.

    It has few threads of its own, so that many dead nodes do not keep what people ask for waiting.
    """

    def __init__(self, app: App, done: Callable[[], None], log: Callable[[str], None]) -> None:
        self._app, self._log = app, log
        self._settler = Settler(app, done, log, HEALING_AT_ONCE)

    def work(self, stop: threading.Event) -> None:
        """Heal until told to stop."""
        while not stop.is_set():
            try:
                with self._app.store.read() as tx:
                    waiting = pending_nodes(tx, self._app.clock())
                self._settler.ask(waiting, again=False)
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(error.what if isinstance(error, VpnctlError) else bug(error))
            stop.wait(AGAIN)
        self._settler.close()


class Post:
    """Sends the outbox whenever something is due."""

    def __init__(self, app: App, turn: Callable[[], None], log: Callable[[str], None]) -> None:
        self._app, self._turn, self._log = app, turn, log
        self._due = threading.Event()

    def poke(self) -> None:
        """Look now."""
        self._due.set()

    def work(self, stop: threading.Event) -> None:
        """Send until told to stop."""
        while not stop.is_set():
            self._due.clear()
            try:
                delivery.deliver(self._app, self._turn)
            except Exception as error:  # noqa: BLE001 - the outbox must go on
                self._log(error.what if isinstance(error, VpnctlError) else bug(error))
                stop.wait(LOOK)
            self._due.wait(LOOK)
