"""The queue of work is a difference: what should be on nodes and what was last read there. Plain SQL, no unsealing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.months import PERIODS, month_of, period_start
from vpnctl.store import models
from vpnctl.store.engine import Tx

_peer, _user, _endpoint, _node = models.peer.c, models.user.c, models.endpoint.c, models.node.c
_sub = models.subscription.c
STOP = "stop"


def holding(now: datetime) -> sa.ColumnElement[bool]:
    """`rules.access.holds` in SQL, over subscription (a test compares the two)."""
    return sa.and_(_sub.cancelled_at.is_(None), _sub.starts_at <= now, _sub.ends_at > now)


def covered(now: datetime) -> sa.ColumnElement[bool]:
    """A subscription covers `now` and its traffic is used up neither in all nor on the node.

    For user and peer of the outer query. `now` is in the operator's zone, whose calendar is meant.
    """
    room = sa.or_(_sub.traffic.is_(None), sa.func.coalesce(_bound(_USED, now), 0) < _sub.traffic)
    here = sa.or_(_sub.node_traffic.is_(None), sa.func.coalesce(_bound(_USED_HERE, now), 0) < _sub.node_traffic)
    return (
        sa.select(sa.literal(1))
        .where(_sub.user_id == _user.id, holding(now), room, here)
        .correlate(models.user, models.peer)
        .exists()
    )


# As text, because this is asked in almost every command, and building it from parts takes longer than asking.
_SINCE = (
    "CASE subscription.traffic_period WHEN 'day' THEN :day WHEN 'week' THEN :week WHEN 'month' THEN :month"
    " ELSE :rolling END"
)
_MINE = 'FROM usage u JOIN peer p ON p.id = u.peer_id WHERE p.user_id = "user".id AND u.day >= ' + _SINCE
_USED = (
    "(CASE subscription.traffic_period WHEN 'month' THEN (SELECT m.rx + m.tx FROM usage_month m"  # noqa: S608
    f' WHERE m.user_id = "user".id AND m.month = :name) ELSE (SELECT sum(u.rx + u.tx) {_MINE}) END)'
)
_USED_HERE = (
    f"(SELECT sum(u.rx + u.tx) {_MINE} AND p.endpoint_id IN (SELECT e.id FROM endpoint e JOIN endpoint o"  # noqa: S608
    " ON o.node_id = e.node_id WHERE o.id = peer.endpoint_id))"
)
_PASSED = (
    "(SELECT coalesce(sum(u.rx + u.tx), 0) FROM usage u JOIN peer p ON p.id = u.peer_id JOIN endpoint e"
    " ON e.id = p.endpoint_id WHERE e.node_id = node.id AND u.day >= :month) >= node.traffic_limit"
)


def _bound(text: str, now: datetime) -> sa.TextClause:
    """Return a text over user, peer and subscription (or node) of the outer query, with the days that it asks for."""
    days = {each: period_start(each, now) for each in PERIODS if f":{each}" in text}
    given = [sa.bindparam(name, day, type_=sa.Date()) for name, day in days.items()]
    given += [sa.bindparam("name", month_of(now))] if ":name" in text else []
    return sa.text(text).bindparams(*given)


def stopped(now: datetime) -> sa.Select[Any]:
    """The ids of endpoints on nodes that stop when their own traffic of the month is used up, as it is now."""
    return sa.select(_endpoint.id).where(_endpoint.node_id.in_(over_limit(now).where(_node.traffic_action == STOP)))


def over_limit(now: datetime) -> sa.Select[Any]:
    """The ids of nodes whose own traffic of this month is used up, whatever is to follow."""
    return sa.select(_node.id).where(_node.traffic_limit.is_not(None), _bound(_PASSED, now))


def wanted(now: datetime) -> sa.ColumnElement[bool]:
    """The access predicate of `rules.access` in SQL, over peer joined with user (a test compares the two)."""
    return sa.and_(
        _peer.revoked_at.is_(None),
        _user.removed_at.is_(None),
        _user.blocked_at.is_(None),
        _user.approved_at.is_not(None),
        _peer.suspended_at.is_(None),
        sa.or_(_peer.expires_at.is_(None), _peer.expires_at > now),
        sa.or_(_user.unlimited.is_(True), covered(now)),
        _peer.endpoint_id.not_in(stopped(now)),
    )


def unproven(now: datetime) -> sa.ColumnElement[bool]:
    """Peers whose wanted state was not read on their node yet."""
    want = wanted(now)
    return sa.or_(
        sa.and_(want, _peer.present_at.is_(None)),
        sa.and_(sa.not_(want), _peer.absent_at.is_(None)),
    )


def stale() -> sa.ColumnElement[bool]:
    """Peers whose people hold a file from before a change of port, name or the like. Over peer joined with endpoint."""
    return sa.and_(
        _peer.revoked_at.is_(None), _peer.delivered_at.is_not(None), _peer.delivered_at < _endpoint.clients_changed_at
    )


def orphaned() -> sa.ColumnElement[bool]:
    """Peers of people who were never granted anything: not unlimited, and without a single subscription."""
    some = sa.select(sa.literal(1)).where(_sub.user_id == _user.id).correlate(models.user).exists()
    return sa.and_(_peer.revoked_at.is_(None), _user.unlimited.is_(False), sa.not_(some))


@dataclass(frozen=True)
class Open:
    """A peer whose wanted state was not read on its node yet."""

    peer_id: str
    endpoint_id: str
    wanted: bool


def open_peers(tx: Tx, now: datetime) -> list[Open]:
    """Return all of them, those of retired nodes too. Everybody is looked at, in indexes alone."""
    query = (
        sa.select(_peer.id, _peer.endpoint_id, _peer.present_at.is_(None) & wanted(now))
        .select_from(models.user)
        .join(models.peer, _peer.user_id == _user.id)
        .where(unproven(now))
    )
    return [Open(peer_id, endpoint_id, bool(want)) for peer_id, endpoint_id, want in tx.execute(query)]


def pending_nodes(tx: Tx, now: datetime, only: str | None = None) -> list[str]:
    """Return the ids of nodes that are not known to agree with the database, each once."""
    if only is not None:
        return _pending_node(tx, now, only)
    return nodes_of(tx, {each.endpoint_id for each in open_peers(tx, now)})


def nodes_of(tx: Tx, endpoint_ids: set[str], *, fenced: bool = True) -> list[str]:
    """Return the ids of the living nodes with one of these endpoints, with one that is not proven, or to be fenced.

    One that is only to be fenced has nothing to change: unless `fenced`, which is for people, it is left out.
    """
    query = (
        sa.select(_endpoint.node_id, _endpoint.id, _endpoint.proven_at, _node.fence_at)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(_node.retired_at.is_(None))
    )
    return sorted(
        {
            node_id
            for node_id, key, proven, fence in tx.execute(query)
            if proven is None or (fenced and fence is not None) or key in endpoint_ids
        }
    )


def fence(tx: Tx, now: datetime, *whose: Any) -> None:
    """Have the token moved of every node with peers for which `whose` holds (over peer): it refuses older copies then.

    For decisions that raise or lower access: the node may have nothing to do, but must know that we decided.
    """
    there = sa.select(_endpoint.node_id).join(models.peer, _peer.endpoint_id == _endpoint.id).where(*whose)
    alive = (_node.retired_at.is_(None), _node.id.in_(there))
    tx.execute(sa.update(models.node).where(*alive).values(fence_at=now))


def _pending_node(tx: Tx, now: datetime, node_id: str) -> list[str]:
    """Return the node's id if it is pending; only its own peers are looked at."""
    alive: list[Any] = [_node.retired_at.is_(None), _node.id == node_id]
    endpoints = (
        sa.select(_endpoint.node_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(*alive, sa.or_(_endpoint.proven_at.is_(None), _node.fence_at.is_not(None)))
    )
    peers = (
        sa.select(_endpoint.node_id)
        .select_from(models.peer)
        .join(models.user, _user.id == _peer.user_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(*alive, unproven(now))
    )
    return sorted(tx.execute(sa.union(endpoints, peers)).scalars())


def homes(tx: Tx, user_id: str) -> list[str]:
    """Return the ids of nodes on which a user has peers that live, or that were not seen cut yet."""
    query = (
        sa.select(_endpoint.node_id)
        .join(models.peer, _peer.endpoint_id == _endpoint.id)
        .where(_peer.user_id == user_id)
        .where(sa.or_(_peer.revoked_at.is_(None), _peer.absent_at.is_(None)))
        .distinct()
    )
    return sorted(tx.execute(query).scalars())


def expect_change(tx: Tx, now: datetime, *where: Any) -> None:
    """Forget what was last read of these peers: their wanted state changes now and must be proven anew.

    Without it a peer that is suspended and resumed between two looks would count as proven by an old look. Their
    nodes' fences move.
    """
    fence(tx, now, _peer.revoked_at.is_(None), *where)
    tx.execute(sa.update(models.peer).where(_peer.revoked_at.is_(None), *where).values(present_at=None, absent_at=None))
