"""Who moved how much: rows per day or month, of a user, a node or the whole service. Bytes as the node counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.months import first_day, months_back
from vpnctl.store import models
from vpnctl.store.engine import Tx

_peer, _endpoint, _usage, _user = models.peer.c, models.endpoint.c, models.usage.c, models.user.c


@dataclass(frozen=True)
class Window:
    """Traffic of one day or month: `received` is what nodes got from devices, `sent` what they sent them."""

    span: str
    received: int
    sent: int
    total: int


@dataclass(frozen=True)
class Share:
    """Somebody's part of a month's traffic."""

    name: str
    received: int
    sent: int
    total: int


def by_day(tx: Tx, first: date, last: date, *, user_id: str = "", node_id: str = "") -> list[Window]:
    """Return the days from `first` to `last`, also those without traffic."""
    sums = _sums(tx, _usage.day, first, last, user_id, node_id)
    count = (last - first).days + 1
    days = [first + timedelta(days=number) for number in range(count)]
    return [_span(day.isoformat(), sums.get(day, (0, 0))) for day in days]


def by_month(tx: Tx, now: datetime, months: int, *, user_id: str = "", node_id: str = "") -> list[Window]:
    """Return the last months, this one included, also those without traffic."""
    names = months_back(now, months)
    if user_id or not node_id:
        table = models.usage_month.c
        where = [table.month.in_(names), *([table.user_id == user_id] if user_id else [])]
        query = sa.select(table.month, sa.func.sum(table.rx), sa.func.sum(table.tx)).where(*where).group_by(table.month)
        sums = {month: (int(rx), int(sent)) for month, rx, sent in tx.execute(query)}
        return [_span(name, sums.get(name, (0, 0))) for name in names]
    found: dict[str, tuple[int, int]] = {}
    for day, (rx, sent) in _sums(tx, _usage.day, first_day(names[0]), now.date(), "", node_id).items():
        before = found.get(f"{day:%Y-%m}", (0, 0))
        found[f"{day:%Y-%m}"] = (before[0] + rx, before[1] + sent)
    return [_span(name, found.get(name, (0, 0))) for name in names]


def shares(tx: Tx, month: str, by: str, limit: int) -> list[Share]:
    """Return who moved most in a month: `user` or `node`."""
    first = first_day(month)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    column = _user.name if by == "user" else models.node.c.name
    query = (
        sa.select(column, sa.func.sum(_usage.rx), sa.func.sum(_usage.tx))
        .select_from(models.usage)
        .join(models.peer, _peer.id == _usage.peer_id)
        .join(models.user, _user.id == _peer.user_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, models.node.c.id == _endpoint.node_id)
        .where(_usage.day >= first, _usage.day <= last)
        .group_by(column)
        .order_by(sa.func.sum(_usage.rx + _usage.tx).desc(), column)
        .limit(limit)
    )
    return [Share(name, int(rx), int(sent), int(rx) + int(sent)) for name, rx, sent in tx.execute(query)]


def _sums(tx: Tx, key: Any, first: date, last: date, user_id: str, node_id: str) -> dict[Any, tuple[int, int]]:
    query = sa.select(key, sa.func.sum(_usage.rx), sa.func.sum(_usage.tx)).select_from(models.usage)
    query = query.where(_usage.day >= first, _usage.day <= last).group_by(key)
    if user_id or node_id:
        query = query.join(models.peer, _peer.id == _usage.peer_id)
    if user_id:
        query = query.where(_peer.user_id == user_id)
    if node_id:
        query = query.join(models.endpoint, _endpoint.id == _peer.endpoint_id).where(_endpoint.node_id == node_id)
    return {name: (int(rx), int(sent)) for name, rx, sent in tx.execute(query)}


def _span(name: str, sums: tuple[int, int]) -> Window:
    return Window(name, sums[0], sums[1], sums[0] + sums[1])
