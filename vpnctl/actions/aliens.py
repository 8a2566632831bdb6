"""Verbs on aliens: peers found on nodes that are not ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.store import events, models
from vpnctl.store.rows import Alien, Endpoint


def count(app: App, node_ids: Sequence[str]) -> int:
    """Return how many aliens are kept on these nodes."""
    with app.store.read() as tx:
        return len(tx.all(Alien, *_of(node_ids)))


def prune(app: App, node_ids: Sequence[str]) -> int:
    """Mark the known aliens of these nodes for removal by the next settle; return how many."""
    now = app.clock()
    with app.store.write() as tx:
        found = tx.all(Alien, *_of(node_ids))
        for alien in found:
            tx.update(Alien, models.alien.c.id == alien.id, pruned_at=now, psk_sealed=None)
            events.record(
                tx, stamp(app), "alien.prune", ("alien", alien.id, alien.public_key), {"allowed_ips": alien.allowed_ips}
            )
        touched = {alien.endpoint_id for alien in found}
        tx.update(Endpoint, models.endpoint.c.id.in_(touched), changed_at=now, proven_at=None)
    return len(found)


def _of(node_ids: Sequence[str]) -> tuple[Any, ...]:
    there = sa.select(models.endpoint.c.id).where(models.endpoint.c.node_id.in_(node_ids))
    return (models.alien.c.endpoint_id.in_(there), models.alien.c.pruned_at.is_(None))
