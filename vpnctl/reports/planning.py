"""Load against capacity per node, read in few queries."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl.rules.planning import WINDOW, CapacityPlan, Load, estimate
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node

_peer, _endpoint, _usage = models.peer.c, models.endpoint.c, models.usage.c


def plans(tx: Tx, nodes: list[Node], now: datetime) -> dict[str, CapacityPlan]:
    """Return node id -> when it is full, and why."""
    if not nodes:
        return {}
    since = now - timedelta(days=WINDOW)
    ids = [node.id for node in nodes]
    counts = _counts(tx, ids, since)
    moved = (
        sa.select(
            _endpoint.node_id,
            sa.func.count(sa.distinct(_usage.peer_id)),
            sa.func.sum(_usage.rx + _usage.tx),
            sa.func.min(_usage.day),
        )
        .select_from(models.usage)
        .join(models.peer, _peer.id == _usage.peer_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .where(_usage.day > since.date(), _endpoint.node_id.in_(ids))
        .group_by(_endpoint.node_id)
    )
    traffic = {key: (active, int(total or 0), first) for key, active, total, first in tx.execute(moved)}
    found = {}
    for node in nodes:
        active, total, first = traffic.get(node.id, (0, 0, now.date()))
        peers, came, went = counts.get(node.id, (0, 0, 0))
        load = Load(
            peers=peers,
            added=came - went,
            active=active,
            traffic=total,
            days=min(WINDOW, (now.date() - first).days + 1),
            capacity=node.capacity,
            traffic_limit=node.traffic_limit,
        )
        found[node.id] = estimate(load, now.date())
    return found


def _counts(tx: Tx, ids: list[str], since: datetime) -> dict[str, tuple[int, int, int]]:
    """Return node id -> (live peers, those that came since, those that went since). Moved devices did neither."""
    cases = (
        _peer.revoked_at.is_(None),
        sa.and_(_peer.created_at > since, _peer.replaces_id.is_(None)),
        sa.and_(_peer.revoked_at > since, _peer.retiring_at.is_(None)),
    )
    query = (
        sa.select(_endpoint.node_id, *(sa.func.sum(sa.case((case, 1), else_=0)) for case in cases))
        .join(models.peer, _peer.endpoint_id == _endpoint.id)
        .where(_endpoint.node_id.in_(ids))
        .group_by(_endpoint.node_id)
    )
    return {key: (int(live), int(came), int(went)) for key, live, came, went in tx.execute(query)}
