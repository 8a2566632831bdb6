"""Names that begin with what somebody typed: what a shell offers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

_MOST = 50


def named(tx: Tx, table: str, start: str) -> list[str]:
    """Return the names of living nodes, users, plans, endpoints or keys that begin so."""
    column = models.metadata.tables[table].c
    dead = next((name for name in ("retired_at", "removed_at", "revoked_at") if name in column), None)
    where = [column[dead].is_(None)] if dead else []
    return _found(tx, column.name, sa.select(column.name).where(*where), start)


def devices(tx: Tx, start: str) -> list[str]:
    """Return `USER/DEVICE` of living devices that begin so."""
    user, peer = models.user.c, models.peer.c
    text = user.name + "/" + peer.device
    query = sa.select(text).join(models.peer, peer.user_id == user.id).where(peer.revoked_at.is_(None))
    return _found(tx, text, query, start)


def device_names(tx: Tx, start: str) -> list[str]:
    """Return names of living devices that begin so."""
    peer = models.peer.c
    return _found(tx, peer.device, sa.select(peer.device).where(peer.revoked_at.is_(None)), start)


def _found(tx: Tx, text: Any, query: Any, start: str) -> list[str]:
    found = query.where(text.startswith(start, autoescape=True)).distinct().order_by(text).limit(_MOST)
    return list(tx.execute(found).scalars())
