"""That this database is a backup which was restored, and on which of its nodes nobody has decided yet.

A node that is undecided may have been changed since the backup: whoever was revoked there since stands in it as alive.
Whoever renewed since stands in it as run out, also where the node was not changed: until then, time cuts nobody there.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from vpnctl.errors import Conflict
from vpnctl.store import models
from vpnctl.store.engine import Tx

_NAME = "restored"


def begin(tx: Tx, created_at: datetime) -> None:
    """Note that the database is a backup of that moment; all its nodes are undecided."""
    living = sa.select(models.node.c.id).where(models.node.c.retired_at.is_(None))
    _write(tx, created_at, list(tx.execute(living).scalars()), untouched=True)


def created_at(tx: Tx) -> datetime | None:
    """Return when the backup was made; None when every node was decided on, or nothing was restored."""
    text = tx.meta(_NAME)
    return datetime.fromisoformat(json.loads(text)["created_at"]) if text and undecided(tx) else None


def untouched(tx: Tx) -> bool:
    """Return whether this is a restored backup of which not one node was decided on."""
    text = tx.meta(_NAME)
    return text is not None and json.loads(text).get("untouched", False) and bool(undecided(tx))


def undecided(tx: Tx) -> frozenset[str]:
    """Return the ids of nodes on which nobody has decided."""
    text = tx.meta(_NAME)
    if not text:
        return frozenset()
    retired = sa.select(models.node.c.id).where(models.node.c.retired_at.is_not(None))
    return frozenset(json.loads(text)["undecided"]) - set(tx.execute(retired).scalars())


def decide(tx: Tx, node_ids: Collection[str]) -> None:
    """Note that these nodes are decided on. With the last of them the restoring is over."""
    made = created_at(tx)
    if made is None:
        return
    left = sorted(undecided(tx) - set(node_ids))
    if left:
        _write(tx, made, left)
    else:
        tx.execute(sa.delete(models.meta).where(models.meta.c.name == _NAME))


def refuse(tx: Tx, node_id: str, name: str) -> None:
    """Raise Conflict where nobody has decided on a node: what is done there now would make the backup true."""
    if node_id in undecided(tx):
        raise Conflict(
            f"this database is a backup, and nobody has decided yet who of {name} was revoked since",
            f"vpnctl backup finish   (where {name} will never answer: --lost {name})",
        )


def _write(tx: Tx, made: datetime, node_ids: list[str], *, untouched: bool = False) -> None:
    if node_ids:
        state = {"created_at": made.isoformat(), "undecided": node_ids, "untouched": untouched}
        tx.set_meta(_NAME, json.dumps(state))
