"""Nodes and their endpoints, as lists show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.reports import planning
from vpnctl.rules import access
from vpnctl.rules.planning import CapacityPlan
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import nodes_of, open_peers
from vpnctl.store.rows import HTTPS, Endpoint, Node

_node, _endpoint, _user, _peer = models.node.c, models.endpoint.c, models.user.c, models.peer.c


@dataclass(frozen=True)
class NodeView:
    """A node in a list."""

    name: str
    region: str
    state: str
    """`settled`, `pending`, `error`, `not provisioned`, `draining` or `retired`."""
    address: str
    public_host: str
    protocols: str
    protocol: str | None
    """What new devices get there unless told; None: the first one."""
    peers: int
    online: int
    capacity: int | None
    traffic_limit: int | None
    rent_due: date | None
    health: str
    """The verdict of the job `health`, `flapping`, `unknown`, or `no packets pass` where that was tried."""
    used: int
    """Bytes in 30 days at the measured pace, both ways."""
    per_active: int
    """Bytes per device that moves anything, in 30 days."""
    room: int | None
    """Devices that still fit by capacity and traffic; None when neither is known."""
    full_on: date | None
    """When the node is full at the pace of the last 30 days."""
    seen_at: datetime | None
    last_error: str | None
    packets: str
    """Whether packets of peers passed when that was last tried: `ok`, why not, or `not tried`."""
    packets_at: datetime | None


@dataclass(frozen=True)
class EndpointView:
    """An endpoint in a list."""

    node: str
    interface: str
    """Its name on the node."""
    protocol: str
    port: int
    transport: str
    options: dict[str, Any]
    """What only its protocol has; shown like the other fields."""
    forward_rule: str
    public_key: str
    """What the node shows of it; a public key where its protocol has one."""
    peers: int
    proven_at: datetime | None
    successor: str | None
    """The endpoint, with another key, to which its people are moved."""

    def plain(self) -> dict[str, Any]:
        """Return the fields as they are shown: options beside the others."""
        own = {each: getattr(self, each) for each in self.__dataclass_fields__ if each != "options"}
        return {"node": own.pop("node"), "interface": own.pop("interface")} | own | self.options


def _address(row: Node) -> str:
    if row.kind == HTTPS:
        return row.panel_url or ""
    return "this machine" if row.kind == "local" else f"{row.login}@{row.host}:{row.port}"


def nodes(
    tx: Tx,
    now: datetime,
    *,
    retired: bool = False,
    name: str | None = None,
    pending: Sequence[str] | None = None,
    planned: bool = True,
) -> list[NodeView]:
    """Return the nodes, by name.

    `pending`: their ids, where they are known already. Unless `planned`, when it is full is only estimated for nodes
    with a capacity or a limit.
    """
    where: list[Any] = [] if retired else [_node.retired_at.is_(None)]
    where += [_node.name == name] if name else []
    rows = tx.all(Node, *where, order=_node.name)
    if pending is None:
        pending = nodes_of(tx, {each.endpoint_id for each in open_peers(tx, now)}, fenced=False)
    waiting = set(pending)
    counts = peer_counts(tx, now, _endpoint.node_id)
    served: dict[str, list[Endpoint]] = {}
    for endpoint in tx.all(Endpoint, _endpoint.removed_at.is_(None), order=_endpoint.name):
        served.setdefault(endpoint.node_id, []).append(endpoint)
    known = [row for row in rows if planned or row.capacity is not None or row.traffic_limit is not None]
    full, health = planning.plans(tx, known, now), _health(tx)
    return [
        _node_view(
            row,
            served.get(row.id, []),
            _node_state(row, waiting, served.get(row.id, [])),
            _with_path(row, health.get(row.id, "unknown")),
            counts.get(row.id, (0, 0)),
            full.get(row.id),
        )
        for row in rows
    ]


def _node_view(
    row: Node, served: Sequence[Endpoint], state: str, health: str, count: tuple[int, int], outlook: CapacityPlan | None
) -> NodeView:
    return NodeView(
        name=row.name,
        region=row.region,
        state=state,
        address=_address(row),
        public_host=row.public_host,
        protocols=", ".join(f"{each.protocol}:{each.port}" for each in served),
        peers=count[0],
        online=count[1],
        capacity=row.capacity,
        traffic_limit=row.traffic_limit,
        protocol=row.protocol or None,
        rent_due=row.rent_due,
        health=health,
        used=outlook.traffic_month if outlook else 0,
        per_active=outlook.per_active if outlook else 0,
        room=outlook.room if outlook else None,
        full_on=outlook.full_on if outlook else None,
        seen_at=row.seen_at,
        last_error=row.last_error,
        packets=row.path_error or ("ok" if row.path_at else "not tried"),
        packets_at=row.path_at,
    )


def _with_path(row: Node, verdict: str) -> str:
    """A node that answers, but through which packets do not pass, is not up for anybody."""
    return "no packets pass" if row.path_error is not None and verdict in ("up", "unknown") else verdict


def _health(tx: Tx) -> dict[str, str]:
    table = models.node_health.c
    rows = tx.execute(sa.select(table.node_id, table.verdict, table.flapping))
    return {node_id: "flapping" if flapping else verdict for node_id, verdict, flapping in rows}


def _node_state(row: Node, pending: set[str], served: Sequence[Endpoint]) -> str:
    checks = (
        (row.retired_at is not None, "retired"),
        (row.last_error is not None or row.path_error is not None, "error"),
        (not served or all(each.digest is None for each in served), "not provisioned"),
        (row.id in pending, "pending"),
        (row.draining_at is not None, "draining"),
    )
    return next((word for true, word in checks if true), "settled")


def peer_counts(tx: Tx, now: datetime, by: Any, *where: Any) -> dict[str, tuple[int, int]]:
    """Return (live peers, online ones) per value of the column `by`."""
    live = sa.and_(_peer.handshake_at >= now - access.ONLINE, _peer.present_at.is_not(None))
    online = sa.case((live, 1), else_=0)
    query = (
        sa.select(by, sa.func.count(), sa.func.sum(online))
        .select_from(models.peer)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .where(_peer.revoked_at.is_(None), *where)
        .group_by(by)
    )
    return {key: (count, int(up or 0)) for key, count, up in tx.execute(query)}


def endpoints(tx: Tx, node_id: str | None = None) -> list[EndpointView]:
    """Return the endpoints, by node and interface."""
    query = (
        sa.select(models.endpoint, _node.name.label("node_name"))
        .join(models.node, _node.id == _endpoint.node_id)
        .where(
            _endpoint.removed_at.is_(None),
            _node.retired_at.is_(None),
            *([_endpoint.node_id == node_id] if node_id else []),
        )
        .order_by(_node.name, _endpoint.name)
    )
    counted = (
        sa.select(_peer.endpoint_id, sa.func.count()).where(_peer.revoked_at.is_(None)).group_by(_peer.endpoint_id)
    )
    counts = {key: count for key, count in tx.execute(counted)}  # noqa: C416 - rows are not pairs to mypy
    rows = tx.execute(query).all()
    names = {row.id: row.name for row in rows}
    return [
        EndpointView(
            node=row.node_name,
            interface=row.name,
            protocol=row.protocol,
            port=row.port,
            transport=row.transport,
            options=row.options,
            forward_rule=row.forward_rule,
            public_key=row.identity,
            peers=counts.get(row.id, 0),
            proven_at=row.proven_at,
            successor=names.get(row.successor_id),
        )
        for row in rows
    ]
