"""What was read on a node becomes rows: tokens, aliens, presence and absence, traffic, errors."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import paths
from vpnctl.actions.fleet.desired import View
from vpnctl.actions.fleet.trust import NONE
from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.desired import Desired, WantedEndpoint
from vpnctl.rules.ledger import Reading
from vpnctl.rules.observed import Observed, SeenPeer, shared_differs
from vpnctl.store import events, models, traffic
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer

_CHUNK = 500
_LATEST = 2**32
"""Unix seconds; what a node says beyond it is no time."""


def prepare(app: App, view: View, observed: Observed) -> str:
    """Commit a fresh token before the node hears of it, and what was counted there before anything is changed.

    A peer that is removed now takes its counters with it; this was the last look at them.
    """
    value = secrets.token_hex(16)
    with app.store.write() as tx:
        tx.execute(sa.insert(models.token).values(node_id=view.node.id, value=value, issued_at=app.clock()))
        book(tx, view, observed, app.clock())
    return value


def book(tx: Tx, view: View, observed: Observed, now: datetime) -> None:
    """Write the traffic and the handshakes that were read."""
    for endpoint in view.endpoints:
        peers = [peer for peer in view.peers if peer.endpoint_id == endpoint.id]
        _book(tx, endpoint.id, peers, observed, endpoint.name, now)


def _book(tx: Tx, endpoint_id: str, peers: Sequence[Peer], observed: Observed, name: str, now: datetime) -> None:
    seen = observed.endpoints.get(name)
    if seen is None:
        return
    found = [(peer, seen.peers[peer.identity]) for peer in peers if peer.identity in seen.peers]
    moved = traffic.book(
        tx,
        endpoint_id,
        [
            traffic.Meter(
                peer.id,
                peer.user_id,
                peer.present_at or observed.read_at,
                Reading(
                    observed.boot_id, seen.epoch, row.rx, row.tx, min(row.handshake or 0, _LATEST), observed.read_at
                ),
            )
            for peer, row in found
        ],
    )
    heard = [(peer, _heard_at(row, observed.read_at, moved=peer.id in moved)) for peer, row in found]
    _record_handshakes(tx, [(peer, at) for peer, at in heard if at is not None], now)


def _heard_at(row: SeenPeer, read_at: datetime, *, moved: bool) -> datetime | None:
    """When the node last heard of a peer. Where it does not tell, one that received something was there just now."""
    if row.handshake is None:
        return read_at if moved else None
    return datetime.fromtimestamp(min(row.handshake, _LATEST), UTC) if row.handshake else None


@dataclass(frozen=True)
class Read:
    """What was wanted of a node in a scope, and what was read there."""

    want: Desired
    observed: Observed
    scope: str
    fresh: str = ""
    """The token that an apply has issued: read on the node, it has moved the fence."""
    fences: bool = True
    """Whether the node keeps a token at all; see `Driver.fences`."""


def record(app: App, view: View, read: Read, *, agreed: bool) -> None:
    """Write what was read. Presence and absence are written when they change, and only from what was seen."""
    want, observed = read.want, read.observed
    now = app.clock()
    endpoints = {endpoint.id: endpoint for endpoint in view.endpoints}
    wanted = {one.endpoint_id for one in want.endpoints}
    with app.store.write() as tx:
        _record_node(tx, view, observed, now, fenced=not read.fences or observed.token == read.fresh)
        for endpoint in view.endpoints:
            if endpoint.id not in wanted:  # removed before it ever was there: nothing of it is left to be proven
                tx.update(Endpoint, models.endpoint.c.id == endpoint.id, proven_at=now)
                never = (models.peer.c.endpoint_id == endpoint.id, models.peer.c.absent_at.is_(None))
                tx.update(Peer, *never, absent_at=now, present_at=None)
        for one in want.endpoints:
            peers = [peer for peer in view.peers if peer.endpoint_id == one.endpoint_id]
            _record_peers(tx, app, one, peers, observed, view.owners)
            values: dict[str, Any] = {"digest": one.config.digest, "proven_at": now}
            known = endpoints[one.endpoint_id]
            # Where the endpoint itself changed, having read people's part of it proves nothing. And what was
            # compared with the node is the row as it was then: a change that came meanwhile is not proven.
            if agreed and (read.scope == SYSTEM or known.proven_at is not None):
                table = models.endpoint.c
                same = (table.changed_at == known.changed_at, _same(table.removed_at, known.removed_at))
                tx.update(Endpoint, table.id == one.endpoint_id, *same, **values)


def _same(column: Any, value: datetime | None) -> Any:
    return column.is_(None) if value is None else column == value


def _record_node(tx: Tx, view: View, observed: Observed, now: datetime, *, fenced: bool) -> None:
    node = view.node
    if node.fence_at is not None and fenced:
        same = (models.node.c.id == node.id, models.node.c.fence_at == node.fence_at)
        tx.update(Node, *same, fence_at=None)  # what was decided since is to be told yet
    tx.update(
        Node,
        models.node.c.id == node.id,
        token=None if observed.token == NONE else observed.token,
        boot_id=observed.boot_id,
        seen_at=now,
        last_error=None,
        last_error_code=None,
        **paths.columns(view, observed, now),
    )


def _record_peers(
    tx: Tx, app: App, one: WantedEndpoint, peers: list[Peer], observed: Observed, owners: dict[str, str]
) -> None:
    now = app.clock()
    seen = observed.endpoints.get(one.name)
    live = seen.peers if seen is not None else {}
    file = observed.files.get(one.config.path)
    settled = file is None if one.removed else file is not None and file[0] == one.config.digest
    live = (seen.strays if seen is not None else {}) | live
    listed = live.keys()
    if one.inbound is not None:  # a panel keeps no people in a file: what it lists is what a restart brings back
        settled = seen is not None or one.removed
        live = {key: each for key, each in live.items() if not (each.switched_off and key in one.resting)}
    sight = {peer.id: _presence(one, peer, live.get(peer.identity), settled) for peer in peers}
    _update(tx, [peer for peer in peers if sight[peer.id] == "present"], present_at=now, absent_at=None)
    _update(tx, [peer for peer in peers if sight[peer.id] == "lost"], present_at=None)
    _update(tx, [peer for peer in peers if sight[peer.id] == "back"], absent_at=None)
    absent = [peer for peer in peers if sight[peer.id] == "absent"]
    _update(tx, absent, absent_at=now, present_at=None)
    # The end of a peer that was replaced is its own; who was blocked or whose time is over comes back with it.
    over = [peer for peer in absent if peer.expires_at is not None and peer.expires_at <= now]
    replaced = [peer for peer in over if peer.retiring_at is not None and peer.revoked_at is None]
    _update(tx, replaced, revoked_at=now, secret_sealed=None, shared_sealed=None)
    gone = [peer for peer in absent if peer in replaced or peer.revoked_at is not None]
    labels = [("peer", peer.id, f"{owners[peer.user_id]}/{peer.device}") for peer in gone]
    events.record_all(tx, stamp(app), "peer.seen_absent", [(label, None, None) for label in labels])
    _book(tx, one.endpoint_id, peers, observed, one.name, now)
    traffic.forget(tx, [peer.id for peer in absent if peer.identity not in listed])  # else its counters go on


def _presence(one: WantedEndpoint, peer: Peer, found: SeenPeer | None, settled: bool) -> str:
    """Return what is news about a peer: `present`, `absent`, `lost`, `back`, or nothing.

    Present and absent are proofs: live state and file must both say so, or a reboot would say otherwise.
    """
    want = one.peers.get(peer.identity)
    if want is not None and found is not None and found.enabled and not found.odd:
        right = want.allowed_ips == found.allowed_ips and not shared_differs(
            want.shared, found.shared, file_is_ours=settled
        )
        return "present" if settled and right and peer.present_at is None else ""
    if want is None and found is None:
        return "absent" if settled and peer.absent_at is None else ""
    if want is not None:
        return "lost" if peer.present_at is not None else ""
    return "back" if peer.absent_at is not None else ""


def _update(tx: Tx, peers: list[Peer], **values: Any) -> None:
    for start in range(0, len(peers), _CHUNK):
        ids = [peer.id for peer in peers[start : start + _CHUNK]]
        tx.update(Peer, models.peer.c.id.in_(ids), **values)


def _record_handshakes(tx: Tx, seen: list[tuple[Peer, datetime]], now: datetime) -> None:
    """A handshake that was seen stays seen, whatever a rebooted node says later."""
    newer = [(peer, at) for peer, at in seen if peer.handshake_at is None or at > peer.handshake_at]
    if newer:
        table = models.peer
        statement = (
            sa.update(table).where(table.c.id == sa.bindparam("peer_id")).values(handshake_at=sa.bindparam("at"))
        )
        tx.execute(statement, [{"peer_id": peer.id, "at": at} for peer, at in newer])
    for peer, _ in newer:
        _finish_migration(tx, peer, now)


def _finish_migration(tx: Tx, peer: Peer, now: datetime) -> None:
    """The successor shook hands: the peer that it replaces ends now, unless packets are known not to pass there."""
    there = sa.select(models.endpoint.c.node_id).where(models.endpoint.c.id == peer.endpoint_id).scalar_subquery()
    broken = tx.execute(sa.select(models.node.c.path_error).where(models.node.c.id == there)).scalar()
    if peer.replaces_id is not None and broken is None:
        table = models.peer.c
        tx.update(
            Peer,
            table.id == peer.replaces_id,
            table.retiring_at.is_not(None),
            table.revoked_at.is_(None),
            sa.or_(table.expires_at.is_(None), table.expires_at > now),
            expires_at=now,
        )


def failed(app: App, node_id: str, error: VpnctlError) -> None:
    """Note on the node why it is not settled; a change of the reason is an event."""
    try:
        with app.store.write() as tx:
            node = tx.one(Node, models.node.c.id == node_id)
            if node is None or node.last_error == error.what:
                return
            tx.update(Node, models.node.c.id == node_id, last_error=error.what, last_error_code=error.code)
            after = {"error": error.what, "code": error.code}
            events.record(tx, stamp(app), "node.unsettled", ("node", node.id, node.name), None, after)
    except VpnctlError:
        return  # the reason is on its way to the operator already; a database that cannot note it changes nothing
