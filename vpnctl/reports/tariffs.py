"""Plans and subscriptions as rows, with their derived states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.lifecycle import Span, State, state
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import holding
from vpnctl.store.rows import Plan, Subscription
from vpnctl.store.typed import made

_sub, _user = models.subscription.c, models.user.c


@dataclass(frozen=True)
class PlanView:
    """A tariff in a list. `traffic` is bytes a month, `prices` minor units per currency."""

    name: str
    title: str
    days: int
    devices: int | None
    traffic: int | None
    traffic_period: str
    node_traffic: int | None
    locations: list[str]
    protocol: str | None
    prices: dict[str, int]
    trial: bool
    on_sale: bool
    active: int
    """Subscriptions of it that cover now."""


@dataclass(frozen=True)
class SubscriptionView:
    """A granted period in a list. `state` is derived: see `vpnctl.rules.lifecycle.State`."""

    user: str
    plan: str
    state: str
    source: str
    starts_at: datetime
    ends_at: datetime
    devices: int | None
    traffic: int | None
    payment: str | None
    cancelled_at: datetime | None
    id: str


def plans(tx: Tx, now: datetime, *, name: str | None = None) -> list[PlanView]:
    """Return the plans, those that were added first first."""
    where = [models.plan.c.name == name] if name else []
    running = sa.select(_sub.plan, sa.func.count()).where(holding(now)).group_by(_sub.plan)
    counts = {key: count for key, count in tx.execute(running)}  # noqa: C416 - rows are not pairs to mypy
    fields = [each for each in PlanView.__dataclass_fields__ if each != "active"]
    return [
        PlanView(active=counts.get(row.name, 0), **{each: getattr(row, each) for each in fields})
        for row in tx.all(Plan, *where, order=models.plan.c.created_at)
    ]


@dataclass(frozen=True)
class SubscriptionFilter:
    """SubscriptionFilter subscriptions: of this user, in these states, that end within `ending`."""

    user: str | None = None
    states: Sequence[str] = ()
    ending: timedelta | None = None


ALL = SubscriptionFilter()


def subscriptions(
    tx: Tx, now: datetime, soon: timedelta, which: SubscriptionFilter = ALL, *, limit: int = 0
) -> list[SubscriptionView]:
    """Return subscriptions of the living, those that end first first."""
    user, ending = which.user, which.ending
    where: list[Any] = [_user.removed_at.is_(None)]
    where += [_user.name == user] if user else []
    where += [_sub.ends_at > now, _sub.ends_at <= now + ending, _sub.cancelled_at.is_(None)] if ending else []
    states = (*which.states, *((State.EXPIRING_SOON, State.EXTENDED) if State.ACTIVE in which.states else ()))
    where += [_hint(states, now, soon)] if states else []
    query = (
        sa.select(models.subscription, _user.name)
        .join(models.user, _user.id == _sub.user_id)
        .where(*where)
        .order_by(_sub.ends_at, _user.name)
    )
    found = []
    width = len(models.subscription.c)
    for part in tx.execute(query).partitions(1000):
        rows = [(made(Subscription, row[:width]), row[-1]) for row in part]
        others = _spans(tx, {row.user_id for row, _ in rows})
        views = [_view(row, name, others[row.user_id], now, soon) for row, name in rows]
        found += [view for view in views if not states or view.state in states]
        if limit and len(found) >= limit:
            return found[:limit]
    return found


def _hint(states: Sequence[str], now: datetime, soon: timedelta) -> Any:
    """Narrow the rows by what a state implies, so that few are read; the state itself is derived."""
    implied = {
        State.EXPIRED: _sub.ends_at <= now,
        State.CANCELLED: _sub.cancelled_at.is_not(None),
        State.CONVERTED: _sub.converted_at.is_not(None),
        State.SCHEDULED: _sub.starts_at > now,
        State.EXPIRING_SOON: sa.and_(_sub.ends_at > now, _sub.ends_at <= now + soon),
        State.ACTIVE: _sub.ends_at > now + soon,
        State.EXTENDED: _sub.ends_at > now,
    }
    return sa.or_(*(implied[State(each)] for each in states))


def _spans(tx: Tx, ids: set[str]) -> dict[str, list[tuple[str, Span]]]:
    found: dict[str, list[tuple[str, Span]]] = defaultdict(list)
    columns = (_sub.user_id, _sub.id, _sub.starts_at, _sub.ends_at, _sub.cancelled_at, _sub.converted_at)
    for user_id, row_id, *span in tx.execute(sa.select(*columns).where(_sub.user_id.in_(ids))):
        found[user_id].append((row_id, Span(*span)))
    return found


def _view(
    row: Subscription, name: str, spans: list[tuple[str, Span]], now: datetime, soon: timedelta
) -> SubscriptionView:
    own = Span(row.starts_at, row.ends_at, row.cancelled_at, row.converted_at)
    return SubscriptionView(
        user=name,
        plan=row.plan,
        state=str(state(own, [span for key, span in spans if key != row.id], now, soon)),
        source=row.source,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        devices=row.devices,
        traffic=row.traffic,
        payment=row.payment,
        cancelled_at=row.cancelled_at,
        id=row.id,
    )
