"""Workers: each takes the oldest update of a chat that nobody is at, handles it in one transaction, then answers.

What an update does and that it was handled, with the reply, is one commit: killed before it, nothing happened and the
update is handled again; killed after it, the reply is sent again. Chats are served side by side, one chat in order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from bot.client import Client
from bot.conversation import Handled, handle, sorry
from bot.incoming import Incoming, read
from bot.intake import Intake
from vpnctl import errors
from vpnctl.actions.people import users
from vpnctl.actions.talk import updates
from vpnctl.app import App
from vpnctl.errors import Busy, VpnctlError
from vpnctl.remote.telegram import Fate
from vpnctl.store.talk_rows import Received
from vpnctl.worker.rate_limit import shared_rate_limit

IDLE = 5.0
"""Seconds between looks when nobody says that something came."""
ACCOUNT_PAUSE, LONGEST_PAUSE = 30.0, 300.0
PAUSE, MONEY_PAUSE = 2.0, 60.0
"""Seconds until an update is tried again that found the database busy, or that told of money and failed."""


class Dispatcher:
    """Where updates are handled. `after` is told of each handled update, with the nodes that it concerns."""

    def __init__(
        self,
        app: App,
        client: Client,
        bot_name: str,
        after: Callable[[Collection[str]], None],
        log: Callable[[str], None],
    ) -> None:
        self.app, self._client, self._bot_name, self._after, self._log = app, client, bot_name, after, log
        self.rate_limit = shared_rate_limit(app.settings)
        self._busy: set[int] = set()
        self._sent: set[int] = set()
        """Replies that were sent while the database could not be written."""
        self._changed = threading.Condition()
        self._stopping = False
        self._intake = Intake(app, client, lambda: bot_name, log)

    def receive(self, raw: list[Any]) -> None:
        """Store what came, then wake the workers. What nobody listens to is not stored."""
        if self._intake.receive(raw):
            self.wake()

    def wake(self) -> None:
        """Have the workers look."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Let workers finish what they are at, and take nothing more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def work(self) -> None:
        """Handle updates until told to stop."""
        while not self._stopping:
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(errors.told(error))
                time.sleep(PAUSE)

    def _work(self) -> None:
        row = self._take()
        if row is None:
            return
        try:
            self.serve(row)
        finally:
            with self._changed:
                self._busy.discard(row.chat_id)
                self._changed.notify_all()

    def _take(self) -> Received | None:
        with self._changed:
            row = None if self._stopping else updates.take(self.app, self._busy)
            if row is not None:
                self._busy.add(row.chat_id)
            elif not self._stopping:
                self._changed.wait(IDLE)
        return row

    def serve(self, row: Received) -> None:
        """Handle one update unless that was done before, and send its reply."""
        try:
            if row.seq in self._sent:
                self._note_answer(row)
                return
            reply = row.reply if row.handled_at else self._handle(row)
            if reply is not None:
                self._answer(row, reply)
        except VpnctlError as error:
            self._log(f"an update waits: {error.what}")
            self._postpone(row)

    def _handle(self, row: Received) -> dict[str, Any] | None:
        said = read(row.body, self._bot_name)
        try:
            if said is None:
                handled = Handled(None)
                with self.app.store.write() as tx:
                    updates.handled(tx, row, self.app.clock(), None)
            else:
                handled = self._converse(row, said)
        except Busy:
            raise
        except Exception as error:  # noqa: BLE001 - one update must not stop the others; it is told by type and place only
            what = errors.told(error)
            self._log(f"an update failed: {what}")
            if said is not None and said.moved is not None:  # money is not put aside with an apology
                updates.postpone(self.app, row, MONEY_PAUSE, counted=False)
                return None
            handled = self._failed(row, said, what)
        self._after(handled.nodes)
        return handled.reply

    def _converse(self, row: Received, said: Incoming) -> Handled:
        with self.app.store.joint() as store, store.read() as tx:
            handled = handle(replace(self.app, store=store), tx, row, said)
            updates.handled(tx, row, self.app.clock(), handled.reply)
        return handled

    def _failed(self, row: Received, said: Incoming | None, what: str) -> Handled:
        reply = sorry(said) if said else None
        with self.app.store.write() as tx:
            updates.handled(tx, row, self.app.clock(), reply, what)
        return Handled(reply)

    def _answer(self, row: Received, reply: dict[str, Any]) -> None:
        if reply["text"]:
            self.rate_limit.wait()
        outcome = self._client.deliver(reply)
        if outcome.fate is Fate.WAIT:
            self.rate_limit.full(row.chat_id, outcome.seconds)
            updates.postpone(self.app, row, outcome.seconds, counted=False)
        elif outcome.fate is Fate.ACCOUNT:
            self._log(f"a reply waits: {outcome.why}")
            updates.postpone(self.app, row, ACCOUNT_PAUSE, counted=False)
        elif outcome.fate is Fate.LATER:
            given_up = updates.postpone(self.app, row, min(2.0**row.tries, LONGEST_PAUSE))
            self._log(f"a reply {'was given up' if given_up else 'waits'}: {outcome.why}")
        else:
            if outcome.fate is Fate.BLOCKED:
                self._note_block(row.chat_id)
            elif outcome.fate in (Fate.REFUSED, Fate.MOVED):
                self._log(f"Telegram refused a reply: {outcome.why}")
            self._sent.add(row.seq)
            self._note_answer(row)

    def _note_answer(self, row: Received) -> None:
        """A reply that was sent and cannot be noted now is not sent again for that."""
        updates.answered(self.app, row)
        self._sent.discard(row.seq)

    def _note_block(self, chat: int) -> None:
        with self.app.store.write() as tx:
            users.reachable(tx, chat, self.app.clock())

    def _postpone(self, row: Received) -> None:
        try:
            updates.postpone(self.app, row, PAUSE, counted=False)
        except VpnctlError:
            time.sleep(PAUSE)
