"""What people and admins are reminded of before it happens. Each reminder once, the nearest only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.sales import transitions
from vpnctl.actions.sales.subscriptions import TRIAL
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.rules.lifecycle import REMINDERS, reminder
from vpnctl.store import models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.rows import Node

BATCH = 1000
LATE = timedelta(days=1)
RENT_DAYS = (7, 3, 1, 0)
CAPACITY = (100, 80)
"""Percent of a node's capacity at which the admins hear of it."""
_sub, _user = models.subscription.c, models.user.c


def subscriptions(app: App, *, dry_run: bool = False) -> int:
    """Enqueue the reminders of subscriptions that end soon; return how many are new."""
    total, after = 0, None
    while True:
        with app.store.write() as tx:
            rows = tx.execute(_ending(app.clock(), after)).all()
            messages = _messages(tx, rows, app.clock())
            total += len(messages) if dry_run else outbox.enqueue(tx, messages, app.clock())
        if len(rows) < BATCH:
            return total
        after = (rows[-1].ends_at, rows[-1].id)


def _ending(now: datetime, after: tuple[datetime, str] | None) -> Any:
    query = (
        sa.select(_sub.id, _sub.user_id, _sub.plan, _sub.source, _sub.ends_at)
        .join(models.user, _user.id == _sub.user_id)
        .where(_sub.ends_at > now - LATE, _sub.ends_at <= now + max(REMINDERS))
        .where(_sub.cancelled_at.is_(None), _sub.converted_at.is_(None), _user.telegram_id.is_not(None))
        .where(_user.removed_at.is_(None), _user.blocked_at.is_(None), _user.approved_at.is_not(None))
        .where(_user.unlimited.is_(False))
        .order_by(_sub.ends_at, _sub.id)
        .limit(BATCH)
    )
    if after is not None:
        end, key = after
        query = query.where(sa.or_(_sub.ends_at > end, sa.and_(_sub.ends_at == end, _sub.id > key)))
    return query


def _messages(tx: Tx, rows: Any, now: datetime) -> list[Message]:
    spans = transitions.spans(tx, {row.user_id for row in rows})
    found = []
    for row in rows:
        later = any(each.cancelled_at is None and each.ends_at > row.ends_at for each in spans[row.user_id])
        key = None if later else reminder(row.ends_at, now, trial=row.source == TRIAL)
        if key is not None:
            details = {"plan": row.plan, "source": row.source, "ends_at": _text(row.ends_at)}
            found.append(Message(USER, "ending", row.id, key, details, row.user_id, valid_until=row.ends_at + LATE))
    return found


def nodes(app: App, *, dry_run: bool = False) -> int:
    """Enqueue notices of rent that is due and of nodes that are nearly full; return how many are new."""
    now = app.clock()
    with app.store.write() as tx:
        rows = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
        messages = [each for row in rows for each in _rent(app, row, now.date())]
        messages += _full(tx, app, rows)
        return len(messages) if dry_run else outbox.enqueue(tx, messages, now)


def _rent(app: App, node: Node, today: date) -> list[Message]:
    if node.rent_due is None:
        return []
    left = (node.rent_due - today).days
    due = [days for days in RENT_DAYS if left <= days]
    if not due:
        return []
    details = {"node": node.name, "due": node.rent_due.isoformat(), "days": left}
    return alerts.admins(app, "rent", node.id, f"{node.rent_due.isoformat()}:{min(due)}", details)


def _full(tx: Tx, app: App, rows: list[Node]) -> list[Message]:
    month = f"{app.clock():%Y-%m}"
    live = (
        sa.select(models.endpoint.c.node_id, sa.func.count())
        .join(models.peer, models.peer.c.endpoint_id == models.endpoint.c.id)
        .where(models.peer.c.revoked_at.is_(None))
        .group_by(models.endpoint.c.node_id)
    )
    counts = {key: count for key, count in tx.execute(live)}  # noqa: C416 - rows are not pairs to mypy
    found = []
    for row in rows:
        share = 100 * counts.get(row.id, 0) // row.capacity if row.capacity else 0
        step = next((each for each in CAPACITY if share >= each), None)
        if step is not None:
            details = {"node": row.name, "peers": counts.get(row.id, 0), "capacity": row.capacity}
            found += alerts.admins(app, "capacity", row.id, f"{month}:{step}", details)
    return found


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
