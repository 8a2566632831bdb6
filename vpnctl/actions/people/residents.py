"""Who lives on a node and who is leaving it, as rows for those who move many. Reads only."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node

Clauses = tuple[sa.ColumnElement[bool], ...]
_peer, _endpoint, _node = models.peer.c, models.endpoint.c, models.node.c


@dataclass(frozen=True)
class Resident:
    """A person on a node: their devices there, what these speak, and when one of them was last heard of."""

    name: str
    source: str
    devices: tuple[str, ...]
    protocols: tuple[str, ...]
    heard_at: datetime | None

    @property
    def key(self) -> str:
        return f"{self.name} {self.source}"


@dataclass(frozen=True)
class Leaving:
    """A person whose devices an earlier run has moved to `target`, and nobody was given their new file."""

    name: str
    target: str
    devices: tuple[str, ...]


def load(tx: Tx) -> dict[str, int]:
    """Return node id -> how many devices live there."""
    query = (
        sa.select(_endpoint.node_id, sa.func.count())
        .join(models.peer, _peer.endpoint_id == _endpoint.id)
        .where(_peer.revoked_at.is_(None), _peer.retiring_at.is_(None))
        .group_by(_endpoint.node_id)
    )
    return {node_id: count for node_id, count in tx.execute(query)}  # noqa: C416 - a row is no pair to mypy


def residents(tx: Tx, node: Node, now: datetime) -> list[Resident]:
    """Return who lives on a node and is not leaving it."""
    mine = sa.or_(_peer.expires_at.is_(None), _peer.expires_at > now)
    return _people(tx, _peer.retiring_at.is_(None), _node.id == node.id, mine)


def on_endpoint(tx: Tx, endpoint: Endpoint, now: datetime) -> tuple[list[Resident], list[Resident]]:
    """Return who lives on an endpoint and is not leaving it; and those of them whose device's own time is over."""
    here = (_peer.retiring_at.is_(None), _endpoint.id == endpoint.id)
    return (
        _people(tx, *here, sa.or_(_peer.expires_at.is_(None), _peer.expires_at > now)),
        _people(tx, *here, _peer.expires_at <= now),
    )


def stuck(tx: Tx, source: Node, targets: set[str]) -> list[Resident]:
    """Return who left the node for another one that is no target now, and got no file: they go on from there."""
    old = models.peer.alias()
    was = sa.select(old.c.id).join(models.endpoint, _endpoint.id == old.c.endpoint_id)
    left = was.where(_endpoint.node_id == source.id, old.c.revoked_at.is_(None))
    fresh = (_peer.retiring_at.is_(None), _peer.delivered_at.is_(None), _peer.handshake_at.is_(None))
    return _people(tx, *fresh, _peer.replaces_id.in_(left), _node.name.not_in(targets), _node.id != source.id)


def over(tx: Tx, node: Node, now: datetime) -> list[Resident]:
    """Return those whose own time is over: they are not moved, and stay until they are revoked."""
    return _people(tx, _peer.retiring_at.is_(None), _node.id == node.id, _peer.expires_at <= now)


def _people(tx: Tx, *where: sa.ColumnElement[bool]) -> list[Resident]:
    query = (
        sa.select(models.user.c.name, _peer.device, _endpoint.protocol, _peer.handshake_at, _node.name.label("source"))
        .join(models.peer, _peer.user_id == models.user.c.id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(_peer.revoked_at.is_(None), *where)
        .order_by(models.user.c.name, _peer.device)
    )
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in tx.execute(query):
        found[row.name, row.source].append(row)
    return [
        Resident(
            name,
            source,
            tuple(row.device for row in rows),
            tuple(row.protocol for row in rows),
            max((row.handshake_at for row in rows if row.handshake_at), default=None),
        )
        for (name, source), rows in found.items()
    ]


_old, _was = models.peer.alias("old"), models.endpoint.alias("was")


def from_node(source: Node) -> Clauses:
    """Return what says of a move that it leads from a node to another one."""
    return (_was.c.node_id == source.id, _node.id != source.id)


def from_endpoint(source: Endpoint) -> Clauses:
    """Return what says of a move that it leads from an endpoint to its successor."""
    return (_was.c.id == source.id, _endpoint.id == source.successor_id)


def leaving(tx: Tx, *way: sa.ColumnElement[bool]) -> list[Leaving]:
    """Return moves of an earlier run whose new file nobody was given."""
    query = (
        sa.select(models.user.c.name, _peer.device, _node.name.label("target"))
        .select_from(models.peer)
        .join(_old, _old.c.id == _peer.replaces_id)
        .join(_was, _was.c.id == _old.c.endpoint_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .join(models.user, models.user.c.id == _peer.user_id)
        .where(*way, _peer.handshake_at.is_(None))
        .where(_peer.revoked_at.is_(None), _peer.delivered_at.is_(None), _old.c.revoked_at.is_(None))
        .order_by(models.user.c.name, _peer.device)
    )
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in tx.execute(query):
        found[row.name, row.target].append(row.device)
    return [Leaving(name, target, tuple(names)) for (name, target), names in found.items()]


def not_heard_of(tx: Tx, source: str) -> int:
    """Return how many devices left a node whose new peer was not heard of yet: their old one is still there."""
    here = _endpoint.node_id == find.node(tx, source).id
    query = sa.select(sa.func.count()).join(models.endpoint, _endpoint.id == _peer.endpoint_id)
    where = (here, _peer.revoked_at.is_(None), _peer.retiring_at.is_not(None))
    return tx.execute(query.select_from(models.peer).where(*where)).scalar() or 0
