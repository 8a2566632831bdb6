"""What time and traffic bring becomes events: written once, stamped with the moment at which it happened.

Nothing is decided here. Who may connect is a predicate over rows and `now`; these events only tell of it, in small
transactions, and a run that was killed is completed by the next one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.rules.access import Reason, holds, why_not_person
from vpnctl.rules.lifecycle import OVER, SOON, Span
from vpnctl.rules.months import MONTH, first_day, month_of, months_back, period_start
from vpnctl.store import events, models
from vpnctl.store.engine import Tx
from vpnctl.store.events import Due
from vpnctl.store.people import persons
from vpnctl.store.queue import holding
from vpnctl.store.rows import User

BATCH = 1000
_sub, _user, _month = models.subscription.c, models.user.c, models.usage_month.c


def note(app: App) -> Counter[str]:
    """Write the events that are due; return how many of each verb."""
    return _subscriptions(app) + _quota_reached(app) + _period_reached(app) + _quota_renewed(app)


def _subscriptions(app: App) -> Counter[str]:
    counts: Counter[str] = Counter()
    now, soon = app.clock(), timedelta(hours=app.settings.expiring_soon_hours)
    after: tuple[datetime, str] | None = None
    while True:
        with app.store.write() as tx:
            rows = tx.execute(_due(now, now + soon, after)).all()
            known = spans(tx, {row.user_id for row in rows})
            due: list[Due] = []
            told: dict[int, list[str]] = {SOON: [], OVER: []}
            for row in rows:
                found, noted = _told(row, known[row.user_id], now, soon)
                due += found
                if noted is not None:
                    told[noted].append(row.id)
            counts += events.record_due(tx, stamp(app), due)
            for noted, ids in told.items():
                if ids:
                    tx.execute(sa.update(models.subscription).where(_sub.id.in_(ids)).values(noted=noted))
        if len(rows) < BATCH:
            return counts
        after = (rows[-1].ends_at, rows[-1].id)


def _due(now: datetime, horizon: datetime, after: tuple[datetime, str] | None) -> Any:
    over = sa.and_(_sub.noted.in_((0, SOON)), _sub.ends_at <= now)
    near = sa.and_(_sub.noted == 0, _sub.ends_at <= horizon)
    query = (
        sa.select(models.subscription, _user.name)
        .join(models.user, _user.id == _sub.user_id)
        .where(sa.or_(over, near), _sub.noted < OVER)
        .order_by(_sub.ends_at, _sub.id)
        .limit(BATCH)
    )
    if after is not None:
        end, key = after
        query = query.where(sa.or_(_sub.ends_at > end, sa.and_(_sub.ends_at == end, _sub.id > key)))
    return query


def _told(row: Any, spans: list[Span], now: datetime, soon: timedelta) -> tuple[list[Due], int | None]:
    """Return the events due for one period, and how far it has been told then."""
    subject = ("subscription", row.id, row.name)
    details = {"plan": row.plan, "source": row.source}
    followed = any(each.cancelled_at is None and each.starts_at <= row.ends_at < each.ends_at for each in spans)
    due = []
    if row.noted == 0 and not followed and row.converted_at is None:
        due.append(Due("subscription.expiring_soon", subject, max(row.ends_at - soon, row.starts_at), details))
    if row.ends_at > now:
        return due, None if followed else SOON
    if row.converted_at is None:
        due.append(Due("subscription.renewed" if followed else "subscription.expired", subject, row.ends_at, details))
    return due, OVER


def spans(tx: Tx, ids: set[str]) -> dict[str, list[Span]]:
    """Return user id -> all periods."""
    found: dict[str, list[Span]] = defaultdict(list)
    query = sa.select(_sub.user_id, _sub.starts_at, _sub.ends_at, _sub.cancelled_at)
    for user_id, *span in tx.execute(query.where(_sub.user_id.in_(ids))):
        found[user_id].append(Span(*span))
    return found


def _quota_reached(app: App) -> Counter[str]:
    """The traffic of this month is used up, for who has a subscription with such a limit."""
    now = app.clock()
    month = month_of(now)
    query = (
        sa.select(
            _user.id, _user.name, (_month.rx + _month.tx).label("used"), sa.func.max(_sub.traffic).label("traffic")
        )
        .select_from(models.usage_month)
        .join(models.user, _user.id == _month.user_id)
        .join(models.subscription, _sub.user_id == _user.id)
        .where(_month.month == month, _month.noted.is_(False), _user.unlimited.is_(False))
        .where(holding(now), _sub.traffic_period == MONTH)
        .group_by(_user.id, _user.name, _month.rx, _month.tx)
        .having(sa.func.max(_sub.traffic) <= _month.rx + _month.tx, sa.func.count() == sa.func.count(_sub.traffic))
    )
    with app.store.read() as tx:
        rows = tx.execute(query).all()
    counts: Counter[str] = Counter()
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        due = [
            Due("quota.reached", ("user", row.id, row.name), now, {"used": row.used, "traffic": row.traffic}, month)
            for row in part
        ]
        with app.store.write() as tx:
            counts += events.record_due(tx, stamp(app), due)
            ids = [row.id for row in part]
            tx.execute(
                sa.update(models.usage_month).where(_month.month == month, _month.user_id.in_(ids)).values(noted=True)
            )
    return counts


def _period_reached(app: App) -> Counter[str]:
    """The same for limits of a day, a week or the last 30 days; an event for each day or week in which it is so."""
    now = app.clock()
    limited = sa.select(_sub.user_id).where(holding(now), _sub.traffic.is_not(None), _sub.traffic_period != MONTH)
    with app.store.read() as tx:
        users = tx.all(User, _user.id.in_(limited), _user.unlimited.is_(False))
        who = persons(tx, users, now, limited)
    due = []
    for user in users:
        if why_not_person(who[user.id], now) is Reason.PERIOD_QUOTA:
            held = [each for each in who[user.id].periods if holds(each, now) and each.traffic_period != MONTH]
            most = max(held, key=lambda each: each.traffic or 0)
            kind = most.traffic_period
            details = {"used": who[user.id].spent(kind), "traffic": most.traffic, "period": kind}
            key = f"{kind}:{now.date() if kind == 'rolling' else period_start(kind, now)}"
            due.append(Due("quota.reached", ("user", user.id, user.name), now, details, key))
    with app.store.write() as tx:
        return Counter(events.record_due(tx, stamp(app), due)) if due else Counter()


def _quota_renewed(app: App) -> Counter[str]:
    """A new month began for people whose traffic was used up; at 00:00 on the 1st in the operator's zone."""
    now = app.clock()
    earlier = months_back(now, 3)[:-1]
    query = (
        sa.select(_user.id, _user.name, _month.month)
        .join(models.user, _user.id == _month.user_id)
        .where(_month.month.in_(earlier), _month.noted.is_(True))
    )
    with app.store.read() as tx:
        rows = tx.execute(query).all()
    counts: Counter[str] = Counter()
    for start in range(0, len(rows), BATCH):
        due = []
        for user_id, name, month in rows[start : start + BATCH]:
            following = (first_day(month) + timedelta(days=32)).replace(day=1)
            boundary = datetime(following.year, following.month, 1, tzinfo=now.tzinfo)
            due.append(Due("quota.renewed", ("user", user_id, name), boundary, {"month": f"{following:%Y-%m}"}))
        with app.store.write() as tx:
            counts += events.record_due(tx, stamp(app), due)
    return counts
