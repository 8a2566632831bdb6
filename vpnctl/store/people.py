"""What the access predicate needs to know of people, read in two queries for many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.access import Period, Person, Standing
from vpnctl.rules.months import month_of
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Peer, User

_sub, _month = models.subscription.c, models.usage_month.c
_MANY = 200


def persons(tx: Tx, users: Sequence[User], now: datetime, among: Any = None) -> dict[str, Person]:
    """Return id -> what decides about access. `among` is a query of user ids that narrows what is read."""
    limited = [user.id for user in users if not user.unlimited]
    periods: dict[str, list[Period]] = defaultdict(list)
    used: dict[str, int] = {}
    if limited:
        here = _where(limited, among)
        spans = sa.select(_sub.user_id, _sub.starts_at, _sub.ends_at, _sub.cancelled_at, _sub.traffic)
        for user_id, *span in tx.execute(spans.where(*here(_sub.user_id)).order_by(_sub.ends_at)):
            periods[user_id].append(Period(*span))
        months = sa.select(_month.user_id, _month.rx + _month.tx)
        month = _month.month == month_of(now)
        used = {key: total for key, total in tx.execute(months.where(month, *here(_month.user_id)))}  # noqa: C416
    return {
        user.id: Person(
            approved_at=user.approved_at,
            blocked_at=user.blocked_at,
            removed_at=user.removed_at,
            unlimited=user.unlimited,
            periods=tuple(periods.get(user.id, ())),
            used=used.get(user.id, 0),
        )
        for user in users
    }


def person(tx: Tx, user: User, now: datetime) -> Person:
    """Return what decides about one user's access."""
    return persons(tx, [user], now)[user.id]


def _where(ids: list[str], among: Any) -> Any:
    """Few ids are named; for many a query that contains them is cheaper than a list of them."""
    if len(ids) <= _MANY:
        return lambda column: (column.in_(ids),)
    return lambda column: (column.in_(among),) if among is not None else ()


def standing(person: Person, peer: Peer) -> Standing:
    """Return what the access predicate looks at."""
    return Standing(
        person=person,
        suspended_at=peer.suspended_at,
        revoked_at=peer.revoked_at,
        expires_at=peer.expires_at,
    )


def plans_in_use(tx: Tx) -> bool:
    """Return whether there are plans: then a new user needs one, else new users are unlimited."""
    return tx.execute(sa.select(models.plan.c.id).where(models.plan.c.on_sale.is_(True)).limit(1)).first() is not None
