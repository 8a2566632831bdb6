"""Aliens: peers found on nodes that are not ours. Recorded, forgotten when they are gone, pruned when told to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import NodeFailed
from vpnctl.rules.observed import Observed, SeenPeer, SeenShared
from vpnctl.rules.secret import Secret
from vpnctl.store import events, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Alien, Endpoint, Peer

MOST = 5000
"""Aliens that are kept for one endpoint. What a node says must not fill our database."""
_NAMED = 20
"""Keys that one event names."""


def record(app: App, node_id: str, name: str, observed: Observed) -> None:
    """Record peers of the node that are not ours, and forget those that somebody removed there, from live and file.

    Writes nothing when there is no news. Raises NodeFailed when there are more than anybody adds by hand.
    """
    table = models.endpoint.c
    with app.store.read() as tx:
        endpoints = tx.all(Endpoint, table.node_id == node_id, table.removed_at.is_(None))
        news = [(each, strangers(tx, each, observed), _gone(tx, each, observed)) for each in endpoints]
    if not any(found or gone for _, found, gone in news):
        return
    with app.store.write() as tx:
        for endpoint, found, gone in news:
            _forget(tx, app, endpoint, gone)
            _add(tx, app, endpoint, name, found)


def _add(tx: Tx, app: App, endpoint: Endpoint, name: str, found: list[SeenPeer]) -> None:
    kept = (models.alien.c.endpoint_id == endpoint.id, models.alien.c.pruned_at.is_(None))
    there = tx.execute(sa.select(sa.func.count()).select_from(models.alien).where(*kept)).scalar() or 0
    if found and there + len(found) > MOST:
        raise NodeFailed(
            f"{name}: {endpoint.name} has {there + len(found)} peers that are not ours; {MOST} are kept at most",
            "what adds them there? Remove them on the node, then: vpnctl node sync " + name,
        )
    rows = []
    for peer in found:
        known = sa.and_(models.alien.c.endpoint_id == endpoint.id, models.alien.c.identity == peer.identity)
        ours = sa.and_(models.peer.c.endpoint_id == endpoint.id, models.peer.c.identity == peer.identity)
        if tx.one(Alien, known) is None and tx.one(Peer, ours) is None:
            alien_id = str(uuid.uuid4())
            shared = peer.shared if isinstance(peer.shared, Secret) else None
            ips = ", ".join(sorted(peer.allowed_ips))
            row = Alien(
                id=alien_id,
                endpoint_id=endpoint.id,
                identity=peer.identity,
                shared_sealed=app.vault.seal("alien.psk", alien_id, shared) if shared else None,
                allowed_ips=ips,
                first_seen_at=app.clock(),
            )
            rows.append(row)
    tx.insert_all(rows)
    _tell(tx, app, "alien.found", endpoint, [row.identity for row in rows])


def _forget(tx: Tx, app: App, endpoint: Endpoint, gone: list[Alien]) -> None:
    for row in gone:
        tx.execute(sa.delete(models.alien).where(models.alien.c.id == row.id, models.alien.c.pruned_at.is_(None)))
    _tell(tx, app, "alien.gone", endpoint, [row.identity for row in gone])


def _tell(tx: Tx, app: App, verb: str, endpoint: Endpoint, keys: list[str]) -> None:
    """One event a look, however many there are."""
    if keys:
        after = {"count": len(keys), "keys": sorted(keys)[:_NAMED]}
        events.record(tx, stamp(app), verb, ("endpoint", endpoint.id, endpoint.name), None, after)


def unsealed(app: App, node_id: str, observed: Observed) -> dict[str, list[str]]:
    """Return endpoint -> identities that we do not know, whose shared secret the node compared and did not name."""
    table = models.endpoint.c
    with app.store.read() as tx:
        endpoints = tx.all(Endpoint, table.node_id == node_id, table.removed_at.is_(None))
        found = {each.name: strangers(tx, each, observed) for each in endpoints}
    unnamed = {
        name: sorted(peer.identity for peer in peers if isinstance(peer.shared, SeenShared))
        for name, peers in found.items()
    }
    return {name: some[:MOST] for name, some in unnamed.items() if some}


def strangers(tx: Tx, endpoint: Endpoint, observed: Observed) -> list[SeenPeer]:
    """Return the peers of an endpoint that this database does not know; none where another server key serves."""
    seen = observed.endpoints.get(endpoint.name)
    if seen is None or seen.identity != endpoint.identity:
        return []
    known: set[str | None] = {
        key
        for table in (models.peer, models.alien)
        for key in tx.execute(sa.select(table.c.identity).where(table.c.endpoint_id == endpoint.id)).scalars()
    }
    known.add(endpoint.probe_identity)
    return [peer for key, peer in seen.peers.items() if key not in known]


def _gone(tx: Tx, endpoint: Endpoint, observed: Observed) -> list[Alien]:
    seen = observed.endpoints.get(endpoint.name)
    if seen is None or seen.identity != endpoint.identity:
        return []
    kept = (models.alien.c.endpoint_id == endpoint.id, models.alien.c.pruned_at.is_(None))
    there = seen.peers.keys() | seen.filed
    return [row for row in tx.all(Alien, *kept) if row.identity not in there]


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
            tx.update(Alien, models.alien.c.id == alien.id, pruned_at=now, shared_sealed=None)
            events.record(
                tx, stamp(app), "alien.prune", ("alien", alien.id, alien.identity), {"allowed_ips": alien.allowed_ips}
            )
        touched = {alien.endpoint_id for alien in found}
        tx.update(Endpoint, models.endpoint.c.id.in_(touched), changed_at=now, proven_at=None)
    return len(found)


def _of(node_ids: Sequence[str]) -> tuple[Any, ...]:
    there = sa.select(models.endpoint.c.id).where(models.endpoint.c.node_id.in_(node_ids))
    return (models.alien.c.endpoint_id.in_(there), models.alien.c.pruned_at.is_(None))
