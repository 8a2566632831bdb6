"""People as rows: their state, their access, who is online."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.reports.fleet import peer_counts
from vpnctl.rules import access
from vpnctl.rules.months import month_of
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import persons
from vpnctl.store.queue import holding
from vpnctl.store.rows import User

_user, _peer = models.user.c, models.peer.c
_MANY = 200


@dataclass(frozen=True)
class UserView:
    """A user in a list."""

    name: str
    display_name: str
    state: str
    """`active`, `blocked` or `waiting` for approval."""
    access: str
    """`unlimited`, the name of the plan, or why there is no access."""
    until: datetime | None
    """When the last granted period ends."""
    used: int
    """Bytes of this calendar month, both ways, all devices."""
    devices: int
    device_limit: int | None
    online: int
    telegram_id: int | None
    locale: str
    note: str
    created_at: datetime
    id: str


@dataclass(frozen=True)
class UserFilter:
    """Which users: of this name, who wait for approval; `search`: a part of a name, a Telegram id or an order."""

    name: str | None = None
    user_id: str | None = None
    search: str = ""
    unapproved: bool = False


ALL = UserFilter()
LONGEST_ID, MANY_ORDERS = 15, 2**31
"""Digits of a Telegram id; an order's number is smaller than the second."""


def users(tx: Tx, now: datetime, which: UserFilter = ALL, *, limit: int = 0, after: str = "") -> list[UserView]:
    """Return users by name, at most `limit` (0: all) of them behind the name `after`."""
    name, search = which.name, which.search
    where: list[Any] = [_user.removed_at.is_(None)]
    where += [_user.name == name] if name else []
    where += [_user.id == which.user_id] if which.user_id else []
    where += [_user.name > after] if after else []
    where += [_user.approved_at.is_(None), _user.blocked_at.is_(None)] if which.unapproved else []
    if search:
        number = int(search) if search.isascii() and search.isdigit() and len(search) <= LONGEST_ID else -1
        order = sa.select(models.order.c.user_id).where(models.order.c.number == number)
        parts = (_user.name.contains(search, autoescape=True), _user.display_name.contains(search, autoescape=True))
        ids = (_user.telegram_id == number, _user.id.in_(order) if number < MANY_ORDERS else sa.false())
        where.append(sa.or_(*parts, *ids))
    rows = tx.all(User, *where, order=_user.name, limit=limit or None)
    page = [_peer.user_id.in_([row.id for row in rows])] if limit or name or which.user_id else []
    counts = peer_counts(tx, now, _peer.user_id, _peer.retiring_at.is_(None), *page)
    who, plans, used = persons(tx, rows, now), _plans(tx, rows, now), _used(tx, rows, now)
    return [
        UserView(
            name=row.name,
            display_name=row.display_name,
            state="blocked" if row.blocked_at else "active" if row.approved_at else "waiting",
            access=_access(who[row.id], plans.get(row.id, ""), now),
            until=_until(who[row.id]),
            used=used.get(row.id, 0),
            devices=counts.get(row.id, (0, 0))[0],
            device_limit=row.device_limit,
            online=counts.get(row.id, (0, 0))[1],
            telegram_id=row.telegram_id,
            locale=row.locale,
            note=row.note,
            created_at=row.created_at,
            id=row.id,
        )
        for row in rows
    ]


def waiting(tx: Tx, limit: int = 0) -> list[User]:
    """Return who waits for approval, who asked first first."""
    where = (_user.removed_at.is_(None), _user.approved_at.is_(None), _user.blocked_at.is_(None))
    return tx.all(User, *where, order=_user.requested_at, limit=limit or None)


def _plans(tx: Tx, rows: Sequence[User], now: datetime) -> dict[str, str]:
    """Return user id -> name of the plan that covers now."""
    table = models.subscription.c
    limited = [row.id for row in rows if not row.unlimited]
    where: list[Any] = [holding(now)]
    where += [table.user_id.in_(limited)] if len(limited) <= _MANY else []
    if not limited:
        return {}
    query = sa.select(table.user_id, table.plan).where(*where).order_by(table.ends_at)
    return {user_id: plan for user_id, plan in tx.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def _used(tx: Tx, rows: Sequence[User], now: datetime) -> dict[str, int]:
    """Return user id -> bytes of this month."""
    table = models.usage_month.c
    ids = [row.id for row in rows]
    where = [table.month == month_of(now), *([table.user_id.in_(ids)] if len(ids) <= _MANY else [])]
    query = sa.select(table.user_id, table.rx + table.tx).where(*where)
    return {user_id: total for user_id, total in tx.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def _access(person: access.Person, plan: str, now: datetime) -> str:
    if person.unlimited:
        return "unlimited"
    reason = access.why_not_person(person, now)
    return str(reason) if reason else plan


def _until(person: access.Person) -> datetime | None:
    ends = [each.ends_at for each in person.periods if each.cancelled_at is None]
    return max(ends, default=None) if not person.unlimited else None
