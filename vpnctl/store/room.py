"""Whether a new person would find a place."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

_node, _endpoint, _peer = models.node.c, models.endpoint.c, models.peer.c


def full(tx: Tx) -> bool:
    """Return whether no node that takes people has room for one more device."""
    taken = (
        sa.select(sa.func.count())
        .select_from(models.peer)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .where(_endpoint.node_id == _node.id, _peer.revoked_at.is_(None))
        .correlate(models.node)
        .scalar_subquery()
    )
    serving = sa.select(_endpoint.node_id).where(_endpoint.removed_at.is_(None), _endpoint.digest.is_not(None))
    query = sa.select(_node.id).where(_node.retired_at.is_(None), _node.draining_at.is_(None), _node.id.in_(serving))
    return tx.execute(query.where(sa.or_(_node.capacity.is_(None), taken < _node.capacity)).limit(1)).first() is None


def has_devices(tx: Tx, user_id: str) -> bool:
    """Return whether somebody has a device that lives."""
    return (
        tx.execute(sa.select(_peer.id).where(_peer.user_id == user_id, _peer.revoked_at.is_(None)).limit(1)).first()
        is not None
    )
