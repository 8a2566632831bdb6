"""The inbox: an update is stored before Telegram hears that we have it, handled once, and answered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.errors import Busy
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.talk_rows import Received
from vpnctl.store.typed import made

_table = models.inbox.c
WINDOW = timedelta(seconds=10)
BURST = 10
"""Updates of one chat within the window; more are not listened to."""
DAY = timedelta(days=1)
STRANGER_LIMIT = 30
"""Updates a day from somebody who has no access; after that there is silence."""
TRIES = 12


@dataclass(frozen=True)
class Pace:
    """How much a chat has said: within the window before an update, and within the day."""

    lately: int
    today: int


def receive(app: App, raw: Sequence[tuple[int, int, dict[str, Any]]]) -> int:
    """Store updates (update id, chat, body); those that are there already are left alone. Return how many are new."""
    if not raw:
        return 0
    ids = [update_id for update_id, _, _ in raw]
    with app.store.write() as tx:
        known = set(tx.execute(sa.select(_table.update_id).where(_table.update_id.in_(ids))).scalars())
        now = app.clock()
        rows = [
            {"update_id": update_id, "chat_id": chat, "received_at": now, "body": body, "not_before": now, "tries": 0}
            for update_id, chat, body in {each[0]: each for each in raw}.values()
            if update_id not in known
        ]
        if rows:
            tx.execute(sa.insert(models.inbox), rows)
            tx.wake()
    return len(rows)


def take(app: App, busy: Collection[int]) -> Received | None:
    """Return the oldest update that waits, of a chat whose earlier updates are all done and that nobody is at.

    Admins and people with access come first, however many strangers are at the door.
    """
    earlier = models.inbox.alias("earlier")
    blocked = (
        sa.select(sa.literal(1))
        .where(earlier.c.chat_id == _table.chat_id, earlier.c.seq < _table.seq, earlier.c.answered_at.is_(None))
        .exists()
    )
    where = [_table.answered_at.is_(None), _table.not_before <= app.clock(), sa.not_(blocked)]
    where += [_table.chat_id.not_in(list(busy))] if busy else []
    user = models.user.c
    inside = (user.telegram_id == _table.chat_id, user.removed_at.is_(None), user.approved_at.is_not(None))
    known = sa.or_(_table.chat_id.in_(app.settings.admin_ids), sa.select(sa.literal(1)).where(*inside).exists())
    query = sa.select(models.inbox).where(*where).order_by(sa.case((known, 0), else_=1), _table.seq).limit(1)
    with app.store.read() as tx:
        row = tx.execute(query).first()
    return made(Received, row) if row else None


def waiting(tx: Tx) -> int:
    """Return how many updates are not done."""
    return tx.execute(sa.select(sa.func.count()).where(_table.answered_at.is_(None))).scalar() or 0


def pace(tx: Tx, row: Received) -> Pace:
    """Return how much the chat of an update has said before it, itself included."""

    def count(since: datetime) -> int:
        where = (_table.chat_id == row.chat_id, _table.received_at > since, _table.seq <= row.seq)
        return tx.execute(sa.select(sa.func.count()).where(*where)).scalar() or 0

    return Pace(count(row.received_at - WINDOW), count(row.received_at - DAY))


def handled(tx: Tx, row: Received, now: datetime, reply: dict[str, Any] | None, error: str = "") -> None:
    """Note, in the transaction of what it did, that an update was handled; without a reply it is done with that.

    Raises Busy when somebody else handled it meanwhile: then what it did here must be undone.
    """
    values: dict[str, Any] = {"handled_at": now, "body": None, "reply": reply, "error": error[:200] or None}
    values |= {"answered_at": None if reply else now, "tries": 0, "not_before": now}
    if not tx.update(Received, _table.seq == row.seq, _table.handled_at.is_(None), **values):
        raise Busy("the update was handled by another bot")


def answered(app: App, row: Received) -> None:
    """Note that the reply arrived, or never will."""
    with app.store.write() as tx:
        tx.update(Received, _table.seq == row.seq, answered_at=app.clock(), reply=None)


def postpone(app: App, row: Received, seconds: float, *, counted: bool = True) -> bool:
    """Try again later; a reply is given up after several counted tries. Return whether it was."""
    now = app.clock()
    tries = row.tries + (1 if counted else 0)
    with app.store.write() as tx:
        if counted and tries >= TRIES:
            tx.update(Received, _table.seq == row.seq, answered_at=now, reply=None, error="the reply was given up")
            return True
        tx.update(Received, _table.seq == row.seq, not_before=now + timedelta(seconds=seconds), tries=tries)
    return False
