"""Measurements as rows, the newest last."""

from __future__ import annotations

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Measurement, Node


def history(tx: Tx, node: str, limit: int) -> list[Measurement]:
    """Return the last measurements of a node that is not retired."""
    row = tx.one(Node, models.node.c.name == node, models.node.c.retired_at.is_(None))
    table = models.measurement.c
    if row is None:
        return []
    return tx.all(Measurement, table.node_id == row.id, order=table.at.desc(), limit=limit)[::-1]
