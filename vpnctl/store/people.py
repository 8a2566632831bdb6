"""What the access predicate needs to know of people, read in two queries for many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.access import Period, Person, Standing
from vpnctl.rules.months import MONTH, month_of, period_start
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import STOP, stopped
from vpnctl.store.rows import Peer, User

_sub, _month, _mine = models.subscription.c, models.usage_month.c, models.peer.c
_MANY = 200


def persons(tx: Tx, users: Sequence[User], now: datetime, among: Any = None) -> dict[str, Person]:
    """Return id -> what decides about access. `among` is a query of user ids that narrows what is read."""
    limited = [user.id for user in users if not user.unlimited]
    periods: dict[str, list[Period]] = defaultdict(list)
    used: dict[str, int] = {}
    within: dict[str, dict[str, int]] = defaultdict(dict)
    if limited:
        here = _where(limited, among)
        columns = (
            _sub.starts_at,
            _sub.ends_at,
            _sub.cancelled_at,
            _sub.traffic,
            _sub.traffic_period,
            _sub.node_traffic,
        )
        spans = sa.select(_sub.user_id, *columns)
        for user_id, *span in tx.execute(spans.where(*here(_sub.user_id)).order_by(_sub.ends_at)):
            periods[user_id].append(Period(*span))
        months = sa.select(_month.user_id, _month.rx + _month.tx)
        month = _month.month == month_of(now)
        used = {key: total for key, total in tx.execute(months.where(month, *here(_month.user_id)))}  # noqa: C416
        kinds = {each.traffic_period for spans in periods.values() for each in spans} - {MONTH}
        for kind in sorted(kinds):
            for user_id, total in tx.execute(
                _since(period_start(kind, now), [_mine.user_id]).where(*here(_mine.user_id))
            ):
                within[user_id][kind] = total
    return {
        user.id: Person(
            approved_at=user.approved_at,
            blocked_at=user.blocked_at,
            removed_at=user.removed_at,
            unlimited=user.unlimited,
            periods=tuple(periods.get(user.id, ())),
            used=used.get(user.id, 0),
            used_in=within.get(user.id, {}),
        )
        for user in users
    }


def _since(first: date, by: list[Any]) -> sa.Select[Any]:
    """Bytes since a day, both ways, by these columns over peer and endpoint."""
    usage = models.usage.c
    return (
        sa.select(*by, sa.func.sum(usage.rx + usage.tx))
        .join(models.peer, _mine.id == usage.peer_id)
        .where(usage.day >= first)
        .group_by(*by)
    )


@dataclass(frozen=True)
class NodeLimits:
    """What limits of nodes come to: endpoints where nobody may connect, and what people used on each node."""

    stopped: frozenset[str] = frozenset()
    here: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """(user id, endpoint id) -> kind of period -> bytes on the endpoint's node."""


def node_limits(tx: Tx, people: Mapping[str, Person], now: datetime) -> NodeLimits:
    """Return what concerns these people (by user id); two short queries where nobody has such limits."""
    stops = tx.execute(sa.select(models.node.c.id).where(models.node.c.traffic_action == STOP).limit(1)).first()
    ended = frozenset(tx.execute(stopped(now)).scalars()) if stops else frozenset()
    limited = {key: each for key, each in people.items() if any(span.node_traffic is not None for span in each.periods)}
    if not limited:
        return NodeLimits(ended)
    at = models.endpoint.c
    homes = {key: node_id for key, node_id in tx.execute(sa.select(at.id, at.node_id))}  # noqa: C416
    totals: dict[tuple[str, str, str], int] = {}
    kinds = {span.traffic_period for each in limited.values() for span in each.periods if span.node_traffic is not None}
    for kind in kinds:
        query = _since(period_start(kind, now), [_mine.user_id, at.node_id]).join(
            models.endpoint, at.id == _mine.endpoint_id
        )
        for user_id, node_id, total in tx.execute(query):
            totals[user_id, node_id, kind] = total
    here = {
        (user_id, endpoint_id): {kind: totals.get((user_id, node_id, kind), 0) for kind in kinds}
        for user_id in limited
        for endpoint_id, node_id in homes.items()
    }
    return NodeLimits(ended, here)


def person(tx: Tx, user: User, now: datetime) -> Person:
    """Return what decides about one user's access."""
    return persons(tx, [user], now)[user.id]


def _where(ids: list[str], among: Any) -> Any:
    """Few ids are named; for many a query that contains them is cheaper than a list of them."""
    if len(ids) <= _MANY:
        return lambda column: (column.in_(ids),)
    return lambda column: (column.in_(among),) if among is not None else ()


def standing(person: Person, peer: Peer, limits: NodeLimits | None = None) -> Standing:
    """Return what the access predicate looks at. Without limits of nodes, only what concerns people and devices."""
    known = limits or NodeLimits()
    return Standing(
        person=person,
        suspended_at=peer.suspended_at,
        revoked_at=peer.revoked_at,
        expires_at=peer.expires_at,
        here=known.here.get((peer.user_id, peer.endpoint_id), {}),
        node_stopped=peer.endpoint_id in known.stopped,
    )


def plans_in_use(tx: Tx) -> bool:
    """Return whether there are plans: then a new user needs one, else new users are unlimited."""
    return tx.execute(sa.select(models.plan.c.id).where(models.plan.c.on_sale.is_(True)).limit(1)).first() is not None
