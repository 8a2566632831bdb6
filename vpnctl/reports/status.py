"""The service on one page: totals, and what needs a person, with the command to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vpnctl.reports import books, fleet
from vpnctl.store import lockdown, models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import Open, nodes_of, open_peers, over_limit, stale

_node, _endpoint, _user, _peer = models.node.c, models.endpoint.c, models.user.c, models.peer.c


@dataclass(frozen=True)
class Attention:
    """One thing that needs a person, with the command to type."""

    subject: str
    what: str
    command: str
    since: datetime | None = None


@dataclass(frozen=True)
class Status:
    """The service on one page."""

    nodes: int
    users: int
    peers: int
    online: int
    pending_peers: int
    attention: tuple[Attention, ...]


AHEAD = timedelta(minutes=5)
"""A run that began later than this from now was noted by a clock that ran ahead."""
SOON_FULL = timedelta(days=14)


def page(tx: Tx, now: datetime, key_file: Path | None = None) -> Status:
    """Return the service on one page: totals, and what needs attention, worst first."""
    lost = []
    if key_file is not None and not key_file.exists():
        lost = [Attention("key file", f"{key_file} is missing: nothing can be changed", "vpnctl vault recover")]
    users_total = tx.execute(
        sa.select(sa.func.count()).select_from(models.user).where(_user.removed_at.is_(None))
    ).scalar()
    waiting = open_peers(tx, now)
    pending = nodes_of(tx, {each.endpoint_id for each in waiting}, fenced=False)
    listed = fleet.nodes(tx, now, pending=pending, planned=False)
    living = _living(tx)
    waiting = [each for each in waiting if each.endpoint_id in living]
    peers, online = (sum(getattr(node, name) for node in listed) for name in ("peers", "online"))
    attention = (*lost, *_attention(tx, now, listed, waiting))
    return Status(len(listed), users_total or 0, peers, online, len(waiting), attention)


def _living(tx: Tx) -> set[str]:
    """Return the endpoints of nodes that are not retired."""
    query = sa.select(_endpoint.id).join(models.node, _node.id == _endpoint.node_id).where(_node.retired_at.is_(None))
    return set(tx.execute(query).scalars())


def _attention(tx: Tx, now: datetime, listed: Sequence[fleet.NodeView], waiting: Sequence[Open]) -> list[Attention]:
    found = [
        Attention(node.name, _bare(node.last_error, node.name), f"vpnctl node check {node.name}", node.seen_at)
        for node in listed
        if node.last_error is not None
    ]
    found += _paths(tx)
    found += _health(tx, listed)
    found += _pending_cuts(tx, waiting)
    found += [
        Attention(node.name, "changes wait to be made there", f"vpnctl node sync {node.name}")
        for node in listed
        if node.state == "pending"
    ]
    found += [
        Attention(node.name, "not provisioned yet", f"vpnctl node provision {node.name}")
        for node in listed
        if node.state == "not provisioned"
    ]
    found += _asking(tx, now) + _full(listed, now.date()) + _used_up(tx, now) + _stale(tx) + _jobs(tx, now)
    return found + _undelivered(tx) + _aliens(tx)


def _paths(tx: Tx) -> list[Attention]:
    """Nodes through which packets were not seen to pass when that was last tried."""
    query = sa.select(_node.name, _node.path_error, _node.path_at).where(
        _node.retired_at.is_(None), _node.path_error.is_not(None)
    )
    return [
        Attention(name, f"packets do not pass: {why}", f"vpnctl node check {name}", at)
        for name, why, at in tx.execute(query.order_by(_node.name))
    ]


def _stale(tx: Tx) -> list[Attention]:
    """People whose files are from before a change of what stands in them."""
    query = (
        sa.select(_node.name, sa.func.count(), sa.func.min(_endpoint.clients_changed_at))
        .select_from(models.peer)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(stale(), _node.retired_at.is_(None))
        .group_by(_node.name)
    )
    return [
        Attention(
            node, f"devices with files from before a change: {count}", f"vpnctl peer list --stale --node {node}", at
        )
        for node, count, at in tx.execute(query)
    ]


def _bare(error: str, name: str) -> str:
    """Return an error without the node's name, which stands before it already."""
    return error.removeprefix(f"{name}: ")


def _asking(tx: Tx, now: datetime) -> list[Attention]:
    """People and requests that wait for a word, and a bot that is locked."""
    people = (_user.approved_at.is_(None), _user.blocked_at.is_(None), _user.removed_at.is_(None))
    table, order, payment = models.request.c, models.order.c, models.payment.c
    odd = "vpnctl payment list --state review --state orphan"
    counts: tuple[tuple[Any, tuple[Any, ...], Any, str, str], ...] = (
        (_user.id, people, _user.requested_at, "people who wait for approval", "vpnctl user list --waiting"),
        (table.id, (table.decided_at.is_(None),), table.created_at, "requests to decide", "vpnctl request list"),
        (order.id, books.PROOFS, order.changed_at, "receipts to decide", "vpnctl order list --state proof"),
        (payment.id, books.ODD, payment.changed_at, "payments that bought nothing", odd),
    )
    found = []
    for column, where, since, what, command in counts:
        count, first = tx.execute(sa.select(sa.func.count(column), sa.func.min(since)).where(*where)).one()
        found += [Attention("bot", f"{what}: {count}", command, first)] if count else []
    return found + ([Attention("bot", "locked", "vpnctl bot unlock")] if lockdown.current(tx, now) else [])


def _health(tx: Tx, listed: Sequence[fleet.NodeView]) -> list[Attention]:
    """What the job `health` thinks of nodes, where it is not that they are up."""
    table = models.node_health.c
    query = sa.select(_node.name, table.since).join(models.node, _node.id == table.node_id)
    since = {name: moment for name, moment in tx.execute(query)}  # noqa: C416 - rows are not pairs to mypy
    advice = {
        "blocked": "move people away: vpnctl user migrate USER --to NODE",
        "flapping": "vpnctl jobs history health",
    }
    return [
        Attention(node.name, node.health, advice.get(node.health, f"vpnctl node check {node.name}"), since[node.name])
        for node in listed
        if node.health not in ("up", "unknown", "no packets pass")
    ]


def _full(listed: Sequence[fleet.NodeView], today: date) -> list[Attention]:
    """Nodes without room, and those that will have none within a fortnight."""
    found = []
    for node in listed:
        if node.room is not None and node.room <= 0:
            found.append(Attention(node.name, f"full: {node.peers} devices", "vpnctl node add … (docs/capacity.md)"))
        elif node.full_on is not None and node.full_on <= today + SOON_FULL:
            what = f"full on {node.full_on} at the present pace; room for {node.room} devices"
            found.append(Attention(node.name, what, "vpnctl node add … (docs/capacity.md)"))
    return found


def _used_up(tx: Tx, now: datetime) -> list[Attention]:
    """Nodes whose own traffic of this month is used up, with what follows."""
    query = sa.select(_node.name, _node.traffic_action).where(_node.id.in_(over_limit(now)), _node.retired_at.is_(None))
    follows = {"warn": "", "close": "; it takes no new devices", "stop": "; nobody may connect there"}
    what = "its traffic of this month is used up"
    return [
        Attention(name, f"{what}{follows[action]}", f"vpnctl node set {name} --traffic-limit SIZE")
        for name, action in tx.execute(query.order_by(_node.name))
    ]


def _jobs(tx: Tx, now: datetime) -> list[Attention]:
    """Jobs whose last run went wrong."""
    table = models.job_run.c
    past = table.started_at <= now + AHEAD  # what a clock that ran ahead has noted is not the last run
    last = sa.select(table.job, sa.func.max(table.started_at).label("at")).where(past).group_by(table.job).subquery()
    query = (
        sa.select(table.job, table.code, table.detail, table.finished_at)
        .join(last, sa.and_(last.c.job == table.job, last.c.at == table.started_at))
        .where(table.code.is_not(None), table.code != 0)
        .order_by(table.job)
    )
    return [
        Attention(
            f"job {job}", f"ended with exit code {code}: {(detail or {}).get('what', '')}", f"vpnctl jobs run {job}", at
        )
        for job, code, detail, at in tx.execute(query)
    ]


def _pending_cuts(tx: Tx, waiting: Sequence[Open]) -> list[Attention]:
    """Peers that may not connect but were not seen absent: they may still pass traffic."""
    query = (
        sa.select(_user.name, _peer.device, _node.name, _peer.revoked_at)
        .select_from(models.peer)
        .join(models.user, _user.id == _peer.user_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(_peer.id.in_([each.peer_id for each in waiting if not each.wanted][:500]))
        .order_by(_peer.revoked_at)
        .limit(20)
    )
    return [
        Attention(
            f"{user}/{device}",
            f"not seen cut on {node} yet: it may still pass traffic",
            f"vpnctl node sync {node}",
            since,
        )
        for user, device, node, since in tx.execute(query)
    ]


def _undelivered(tx: Tx) -> list[Attention]:
    """Devices whose config was never handed out and that were never heard of."""
    old = models.peer.alias("old")
    query = (
        sa.select(_user.name, _peer.device, _node.name, _peer.created_at, old.c.id, old.c.revoked_at)
        .select_from(models.peer)
        .join(models.user, _user.id == _peer.user_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .join(old, old.c.id == _peer.replaces_id, isouter=True)
        .where(_peer.revoked_at.is_(None), _peer.delivered_at.is_(None), _peer.handshake_at.is_(None))
        .order_by(old.c.id.is_(None), _peer.created_at)
        .limit(20)
    )
    return [
        Attention(
            f"{user}/{device}",
            f"config for {node} not handed out yet{_meanwhile(before, cut)}",
            f"vpnctl peer config {user}/{device}",
            since,
        )
        for user, device, node, since, before, cut in tx.execute(query)
    ]


def _meanwhile(before: str | None, cut: datetime | None) -> str:
    if before is None:
        return ""
    return "; the old key is cut" if cut else "; the old one stays"


def _aliens(tx: Tx) -> list[Attention]:
    query = (
        sa.select(_node.name, sa.func.count(), sa.func.min(models.alien.c.first_seen_at))
        .select_from(models.alien)
        .join(models.endpoint, _endpoint.id == models.alien.c.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(models.alien.c.pruned_at.is_(None), _node.retired_at.is_(None))
        .group_by(_node.name)
    )
    return [
        Attention(node, f"alien peers are kept there: {count}", f"vpnctl node show {node}", since)
        for node, count, since in tx.execute(query)
    ]
