"""Devices as rows: what each may, and what the nodes said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules import access
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import node_limits, persons, standing
from vpnctl.store.rows import Endpoint, Peer, User
from vpnctl.store.typed import made
from vpnctl.texts import handout

_peer, _user, _node, _endpoint = models.peer.c, models.user.c, models.node.c, models.endpoint.c


@dataclass(frozen=True)
class PeerView:
    """A peer in a list. Counters are bytes: received is what the node got from the device."""

    user: str
    device: str
    node: str
    protocol: str
    app: str
    """The apps that read what it was given, the one that fits best first."""
    state: str
    reason: str | None
    online: bool | None
    """None where the node was asked and did not answer."""
    handshake_at: datetime | None
    received: int
    sent: int
    ipv4: str | None
    ipv6: str | None
    public_key: str
    created_at: datetime
    expires_at: datetime | None
    delivered_at: datetime | None
    options: dict[str, Any]
    """What it has otherwise than its endpoint."""
    id: str


def peers(
    tx: Tx,
    now: datetime,
    *where: Any,
    revoked: bool = False,
    limit: int = 0,
    behind: tuple[str, str, datetime, str] | None = None,
) -> list[PeerView]:
    """Return peers by user and device. Revoked ones only when asked for, or while their cut is pending.

    `behind`: only those that come after this (user, device, created at, id).
    """
    if behind:
        keys = (_user.name, _peer.device, _peer.created_at, _peer.id)
        where += (
            sa.tuple_(*keys) > sa.tuple_(*(sa.literal(each, key.type) for each, key in zip(behind, keys, strict=True))),
        )
    alive = [] if revoked else [sa.or_(_peer.revoked_at.is_(None), _peer.absent_at.is_(None))]
    query = (
        sa.select(models.peer, models.user, _node.name.label("node_name"), _endpoint.protocol.label("protocol"))
        .select_from(models.peer)
        .join(models.user, _user.id == _peer.user_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(*alive, *where)
        .order_by(_user.name, _peer.device, _peer.created_at, _peer.id)
    )
    width, owner = len(models.peer.c), len(models.user.c)
    rows = [
        (made(Peer, row[:width]), made(User, row[width : width + owner]), row[-2], row[-1])
        for row in tx.execute(query.limit(limit) if limit else query)
    ]
    who = persons(tx, list({user.id: user for _, user, _, _ in rows}.values()), now)
    limits = node_limits(tx, who, now)
    reasons = {peer.id: access.why_not(standing(who[user.id], peer, limits), now) for peer, user, _, _ in rows}
    apps = _apps(tx, {peer.endpoint_id for peer, _, _, _ in rows})
    return [
        _peer_view(peer, user, reasons[peer.id], node, (protocol, apps[peer.endpoint_id]), now)
        for peer, user, node, protocol in rows
    ]


def _apps(tx: Tx, ids: set[str]) -> dict[str, str]:
    found = tx.all(Endpoint, _endpoint.id.in_(sorted(ids)) if len(ids) <= _FEW else sa.true())
    return {row.id: handout.readers(row.protocol, row.options) for row in found}


_FEW = 500


def _peer_view(
    peer: Peer, user: User, reason: access.Reason | None, node: str, spoken: tuple[str, str], now: datetime
) -> PeerView:
    state = access.shown_state(reason, peer.present_at, peer.absent_at)
    moving = peer.retiring_at is not None and peer.revoked_at is None and state == "active"
    return PeerView(
        user=user.name,
        device=peer.device,
        node=node,
        protocol=spoken[0],
        app=spoken[1],
        state="active, being replaced" if moving else state,
        reason=str(reason) if reason else None,
        online=access.online(peer.handshake_at, now) and peer.present_at is not None,
        handshake_at=peer.handshake_at,
        received=peer.rx,
        sent=peer.tx,
        ipv4=peer.ipv4,
        ipv6=peer.ipv6,
        public_key=peer.identity,
        created_at=peer.created_at,
        expires_at=peer.expires_at,
        delivered_at=peer.delivered_at,
        options=peer.options or {},
        id=peer.id,
    )
