"""Renewing an endpoint's key, port and parameters: people are moved to a successor beside it, then the old one ends.

The moving is `migration`'s, in the waves of `evacuation`; whoever has not connected anew keeps the old one until then.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from vpnctl.actions.fleet import endpoints
from vpnctl.actions.people import evacuation, residents
from vpnctl.actions.people.evacuation import Move, MovingPlan
from vpnctl.app import App
from vpnctl.store import find, models
from vpnctl.store.rows import Alien, Endpoint, Node


def plan(app: App, node_name: str, name: str, *, untested: bool = False) -> MovingPlan:
    """Return how everybody on an endpoint moves to its successor, which is there."""
    with app.store.read() as tx:
        node = find.node(tx, node_name)
        old = find.endpoint(tx, node, name)
        new = next(each for each in find.endpoints(tx, node) if each.id == old.successor_id)
        people, over = residents.on_endpoint(tx, old, app.clock())
        begun = residents.leaving(tx, *residents.from_endpoint(old))
    moves = [replace(_move(node, new, each.name, each.devices), begun=True) for each in begun]
    moves += [_move(node, new, each.name, each.devices) for each in people]
    left = tuple(evacuation.over(each) for each in over)
    return evacuation.checked(app, MovingPlan(tuple(moves), left), untested=untested)


def _move(node: Node, new: Endpoint, name: str, devices: tuple[str, ...]) -> Move:
    return Move(name, node.name, node.name, devices, endpoint=new.name)


def end(app: App, only: str | None = None) -> list[str]:
    """Remove every endpoint that has a successor and nobody left, no alien peer either; or `only` the one of that id.

    Returns the ids of the nodes to settle.
    """
    row, heir, peer, alien = models.endpoint.c, models.endpoint.alias(), models.peer.c, models.alien.c
    lived = sa.exists(sa.select(peer.id).where(peer.endpoint_id == row.id, peer.revoked_at.is_(None)))
    foreign = sa.exists(sa.select(alien.id).where(alien.endpoint_id == row.id, alien.pruned_at.is_(None)))
    serves = (heir.c.removed_at.is_(None), heir.c.proven_at.is_not(None))
    followed = sa.exists(sa.select(heir.c.id).where(heir.c.id == row.successor_id, *serves))
    meant = (row.removed_at.is_(None), followed, sa.not_(lived), sa.not_(foreign), *([row.id == only] if only else []))
    found: list[str] = []
    with app.store.write() as tx:
        for each in tx.all(Endpoint, *meant):
            node = tx.one(Node, models.node.c.id == each.node_id, models.node.c.retired_at.is_(None))
            if node is not None:
                found += [node.id, *endpoints.dissolve(tx, app, node, each, revoke=False)]
    return sorted(set(found))


def aliens(app: App, endpoint_id: str) -> int:
    """Return how many alien peers an endpoint stays for: nobody can give them a new file."""
    with app.store.read() as tx:
        return len(tx.all(Alien, models.alien.c.endpoint_id == endpoint_id, models.alien.c.pruned_at.is_(None)))
