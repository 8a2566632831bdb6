"""Settling nodes as they are named, and those that wait although nobody names them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vpnctl import errors
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.talk import handover
from vpnctl.app import App
from vpnctl.errors import PENDING
from vpnctl.store.queue import pending_nodes
from vpnctl.worker.claims import Alone, Claims

AT_ONCE, HEALING_AT_ONCE = 16, 4
LOOK = 5.0
"""Seconds between looks for nodes that are pending: others write too, and name nothing to us."""
CONTESTED = 0.3
"""The same while another worker is at one of them: it may have looked before the last change."""
AGAIN = 60.0
"""Seconds until a node that stayed pending is tried again."""


class Settler:
    """Makes nodes agree, side by side, one settle a node at a time. `done` is called after each."""

    def __init__(
        self,
        app: App,
        done: Callable[[], None],
        log: Callable[[str], None],
        at_once: int = AT_ONCE,
        claims: Claims | None = None,
    ) -> None:
        self._app, self._done, self._log = replace(app, actor="bot"), done, log
        self._at_once, self._claims = at_once, claims
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="settle")
        self._lock = threading.Lock()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._stuck: dict[str, float] = {}
        """Nodes that stayed pending when they were last tried, and when that was."""
        self.settled = 0
        """Nodes that were changed and agree."""

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
                elif each.changes:
                    self._log(f"{each.node}: agrees with the database; changes made: {len(each.changes)}")
                    self.settled += 1
                self._note(node_id, stuck=each.code != 0)
                if each.code == PENDING:
                    handover.delayed(self._app, node_id)
        except Exception as error:  # noqa: BLE001 - a thread of a pool dies unseen
            self._log(errors.told(error))
        self._let_go(node_id)
        with self._lock:
            self._working.discard(node_id)
            again = node_id in self._again
            self._again.discard(node_id)
        self._done()
        if again:
            self.ask([node_id])

    def _let_go(self, node_id: str) -> None:
        if self._claims is not None:
            try:
                self._claims.release(node_id)
            except Exception as error:  # noqa: BLE001 - it runs out by itself
                self._log(errors.told(error))

    def _note(self, node_id: str, *, stuck: bool) -> None:
        with self._lock:
            self._stuck.pop(node_id, None)
            if stuck:
                self._stuck[node_id] = time.monotonic()

    def stuck(self, node_id: str) -> bool:
        """Return whether a node was tried less than a minute ago and stayed pending."""
        with self._lock:
            return node_id in self._stuck and time.monotonic() - self._stuck[node_id] < AGAIN

    def working(self, node_id: str) -> bool:
        """Return whether a node is being settled."""
        with self._lock:
            return node_id in self._working

    def room(self) -> int:
        """Return how many more nodes could be begun at once."""
        with self._lock:
            return self._at_once - len(self._working)

    def close(self) -> None:
        """Let settles that began finish; what was not begun is found by the next start."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Healer:
    """Tries what is pending: what a crash left, what others wrote, and nodes that are back.

    It has few threads of its own, so that many dead nodes do not keep what people ask for waiting. Among several
    machines (`claims`) all settling goes this way, with more of them.
    """

    def __init__(
        self, app: App, done: Callable[[], None], log: Callable[[str], None], claims: Claims | None = None
    ) -> None:
        self._app, self._log, self._done = app, log, done
        self._shared, self._claims = claims is not None, claims or Alone()
        at_once = AT_ONCE if self._shared else HEALING_AT_ONCE
        self.settler = Settler(app, self._settled, log, at_once, claims)
        self._due = threading.Event()

    def wake(self) -> None:
        """Look now."""
        self._due.set()

    def work(self, stop: threading.Event) -> None:
        """Heal until told to stop."""
        while not stop.is_set():
            self._due.clear()
            pause = LOOK
            try:
                pause = self._round()
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(errors.told(error))
            self._due.wait(pause)
        self.settler.close()

    def _round(self) -> float:
        """Begin what is ours; return the seconds until the next look."""
        due = self.due()
        idle = [node_id for node_id in due if not self.settler.working(node_id)]
        if not self._shared:
            self.settler.ask(idle, again=False)
            return LOOK
        mine = self._claims.take(idle, self.settler.room())
        self.settler.ask(mine, again=False)
        return CONTESTED if len(mine) < len(due) else LOOK

    def offer(self, node_ids: Sequence[str]) -> None:
        """Settle these as far as they are ours to settle and there is room; who offers them looks what came of it."""
        idle = [node_id for node_id in node_ids if not self.settler.working(node_id)]
        self.settler.ask(self._claims.take(idle, self.settler.room()), again=False)

    def _settled(self) -> None:
        self._done()
        if self._shared:  # there is room for the next one
            self.wake()

    def due(self) -> list[str]:
        """Return the nodes that are pending, without those that stayed so a moment ago."""
        with self._app.store.read() as tx:
            waiting = pending_nodes(tx, self._app.clock())
        return [node_id for node_id in waiting if not self.settler.stuck(node_id)]
