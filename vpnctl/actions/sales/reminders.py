"""What people and admins are reminded of before it happens. Each reminder once, the nearest only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.sales import plans, transitions
from vpnctl.actions.sales.subscriptions import TRIAL
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.reports.books import waiting_since
from vpnctl.rules.access import Person, holds
from vpnctl.rules.lifecycle import REMINDERS, reminder
from vpnctl.rules.months import period_start
from vpnctl.store import models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.people import persons
from vpnctl.store.queue import holding
from vpnctl.store.rows import Node, User
from vpnctl.store.vault import NIL

BATCH = 1000
LATE = timedelta(days=1)
PATIENCE = timedelta(hours=24)
"""How long money may wait for a decision before admins hear of it again."""
RENT_DAYS = (7, 3, 1, 0)
CAPACITY = QUOTA = (100, 80)
"""Percent of a node's capacity, and of a person's traffic, at which admins and the person hear of it."""
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
        sa.select(_sub.id, _sub.user_id, _sub.plan, _sub.source, _sub.ends_at, _user.locale)
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
    details: dict[str, Any]
    spans = transitions.spans(tx, {row.user_id for row in rows})
    titles = {locale: plans.titles(tx, locale) for locale in {row.locale for row in rows}}
    found: list[Message] = []
    for row in rows:
        later = any(each.cancelled_at is None and each.ends_at > row.ends_at for each in spans[row.user_id])
        key = None if later else reminder(row.ends_at, now, trial=row.source == TRIAL)
        if key is not None:
            details = {
                "plan": titles[row.locale].get(row.plan, row.plan),
                "source": row.source,
                "ends_at": _text(row.ends_at),
            }
            details |= {"over": row.ends_at <= now, "name": row.plan if row.source != TRIAL else ""}
            found.append(Message(USER, "ending", row.id, key, details, row.user_id, valid_until=row.ends_at + LATE))
    return found


def quotas(app: App, *, dry_run: bool = False) -> int:
    """Enqueue what people are told when 80 and 100 % of their traffic are used up; return how many are new.

    Once each for a month, a week or a day; of the last 30 days, which have no beginning, once a day.
    """
    now = app.clock()
    limited = sa.select(_sub.user_id).where(holding(now), _sub.traffic.is_not(None))
    with app.store.read() as tx:
        reached = (_user.telegram_id.is_not(None), _user.blocked_at.is_(None), _user.approved_at.is_not(None))
        users = tx.all(User, _user.id.in_(limited), _user.unlimited.is_(False), _user.removed_at.is_(None), *reached)
        who = persons(tx, users, now, limited) if users else {}
    messages = [each for user in users for each in _quota(user.id, who[user.id], now)]
    with app.store.write() as tx:
        return len(messages) if dry_run else outbox.enqueue(tx, messages, now)


def _quota(user_id: str, person: Person, now: datetime) -> list[Message]:
    """Return what is due for one person: the nearest step only, of the period that gives most."""
    held = [each for each in person.periods if holds(each, now)]
    if not held or any(each.traffic is None for each in held):
        return []
    most = max(held, key=lambda each: each.traffic or 0)
    used, limit = person.spent(most.traffic_period), most.traffic or 1
    step = next((each for each in QUOTA if 100 * used >= each * limit), None)
    if step is None:
        return []
    begins = now.date() if most.traffic_period == "rolling" else period_start(most.traffic_period, now)
    key = f"{most.traffic_period}:{begins:%Y%m%d}:{step}"
    return [Message(USER, "quota", user_id, key, {"used": used, "limit": limit}, user_id)]


def nodes(app: App, *, dry_run: bool = False) -> int:
    """Enqueue notices of rent that is due and of nodes that are nearly full; return how many are new."""
    now = app.clock()
    with app.store.write() as tx:
        rows = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
        messages = [each for row in rows for each in _rent(app, row, now.date())]
        messages += _full(tx, app, rows)
        return len(messages) if dry_run else outbox.enqueue(tx, messages, now)


def money(app: App, *, dry_run: bool = False) -> int:
    """Enqueue, once a day, that receipts or payments wait longer than `PATIENCE` for a decision; return how many."""
    now = app.clock()
    with app.store.write() as tx:
        since = waiting_since(tx, now)
        late = [each for each in since if each <= now - PATIENCE]
        details = {"count": len(since), "since": _text(min(since))} if late else {}
        messages = alerts.admins(app, "money_waits", NIL, f"{now:%Y-%m-%d}", details) if late else []
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
