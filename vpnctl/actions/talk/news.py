"""Messages from the operator to people, such as before maintenance of a node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar
from vpnctl.store import events, find, models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message


def recipients(tx: Tx, nodes: Sequence[str], users: Sequence[str], *, everybody: bool = False) -> tuple[list[str], int]:
    """Return (user ids that Telegram reaches, how many it does not reach)."""
    table, peer = models.user.c, models.peer.c
    if not (nodes or users or everybody):
        raise InvalidInput("to whom?", "--node NODE, --user USER or --all")
    wanted = [find.user(tx, name).id for name in users]
    where: list[Any] = [table.removed_at.is_(None)]
    if not everybody:
        ids = [find.node(tx, name).id for name in nodes]
        there = (
            sa.select(peer.user_id)
            .join(models.endpoint, models.endpoint.c.id == peer.endpoint_id)
            .where(models.endpoint.c.node_id.in_(ids), peer.revoked_at.is_(None))
        )
        where.append(sa.or_(table.id.in_(there), table.id.in_(wanted)))
    rows = tx.execute(sa.select(table.id, table.telegram_id, table.bot_blocked_at).where(*where)).all()
    reached = [row.id for row in rows if row.telegram_id is not None and row.bot_blocked_at is None]
    return reached, len(rows) - len(reached)


def send(app: App, text: str, user_ids: Sequence[str], key: str = "") -> int:
    """Enqueue a message to people; the same text is sent to a person once a day. Return how many are new."""
    body = grammar.message(text)
    now = app.clock()
    once = key or f"{now:%Y%m%d}:{hashlib.sha256(body.encode()).hexdigest()[:16]}"
    messages = [Message(USER, "news", user_id, once, {"text": body}, user_id) for user_id in user_ids]
    with app.store.write() as tx:
        count = outbox.enqueue(tx, messages, now)
        if count:
            subject = ("notice", user_ids[0], f"{count} people")
            events.record(tx, stamp(app), "notice.send", subject, None, {"people": count, "key": once})
        return count
