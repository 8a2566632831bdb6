"""The outbox: a message is enqueued once per (chat, kind, subject, key), in the transaction that gives rise to it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

USER, ADMIN, TECH = "user", "admin", "tech"
_table = models.notice.c


@dataclass(frozen=True)
class Message:
    """What is to be said to whom. `to` is a Telegram chat where it is not a user's own."""

    chat: str
    kind: str
    subject_id: str
    key: str
    details: dict[str, Any]
    user_id: str | None = None
    to: int | None = None
    valid_until: datetime | None = None


def enqueue(tx: Tx, messages: Sequence[Message], now: datetime) -> int:
    """Enqueue messages; those that were enqueued before are left alone. Return how many are new."""
    if not messages:
        return 0
    keys = {(each.chat, each.kind, each.subject_id, _key(each)): each for each in messages}
    subjects = sorted({each.subject_id for each in messages})
    there: set[tuple[str, ...]] = set()
    for start in range(0, len(subjects), 500):
        chats, kinds = {each.chat for each in messages}, {each.kind for each in messages}
        query = sa.select(_table.chat, _table.kind, _table.subject_id, _table.key)
        query = query.where(_table.chat.in_(chats), _table.kind.in_(kinds))
        there |= {tuple(row) for row in tx.execute(query.where(_table.subject_id.in_(subjects[start : start + 500])))}
    fresh = {key: each for key, each in keys.items() if key not in there}
    rows = [_row(each, now) for each in fresh.values()]
    if rows:
        tx.execute(sa.insert(models.notice), rows)
        tx.wake()
    return len(rows)


def _key(each: Message) -> str:
    return each.key if each.to is None else f"{each.key}#{each.to}"[:40]


def _row(each: Message, now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "chat": each.chat,
        "user_id": each.user_id,
        "kind": each.kind,
        "subject_id": each.subject_id,
        "key": _key(each),
        "details": each.details | ({"to": each.to} if each.to is not None else {}),
        "created_at": now,
        "not_before": now,
        "valid_until": each.valid_until,
        "tries": 0,
    }
