"""From a selection to names of people and devices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.selection import Selection
from vpnctl.store import find, models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import holding

_user, _peer, _endpoint, _node, _sub = (
    models.user.c,
    models.peer.c,
    models.endpoint.c,
    models.node.c,
    models.subscription.c,
)


def people(tx: Tx, which: Selection, now: datetime) -> list[str]:
    """Return the names of the people meant; those without a device too, where nothing is said of devices."""
    query = sa.select(_user.name).where(_user.removed_at.is_(None), *_of_people(which, now))
    if _of_devices(tx, which):
        query = query.where(_user.id.in_(_living(tx, which, _peer.user_id)))
    return list(tx.execute(query.order_by(_user.name)).scalars())


def devices(tx: Tx, which: Selection, now: datetime) -> list[str]:
    """Return `USER/DEVICE` of the devices meant; one that is being replaced counts where its successor is."""
    query = (
        sa.select(_user.name, _peer.device)
        .join(models.peer, _peer.user_id == _user.id)
        .where(_user.removed_at.is_(None), *_of_people(which, now), _peer.id.in_(_living(tx, which, _peer.id)))
        .order_by(_user.name, _peer.device)
    )
    return [f"{row.name}/{row.device}" for row in tx.execute(query)]


def _of_people(which: Selection, now: datetime) -> list[Any]:
    where: list[Any] = []
    if which.user.endswith("*"):
        where.append(_user.name.startswith(which.user[:-1], autoescape=True))
    elif which.user:
        where.append(_user.name == which.user)
    if which.plan:
        covered = sa.select(sa.literal(1)).where(_sub.user_id == _user.id, _sub.plan == which.plan, holding(now))
        where.append(covered.correlate(models.user).exists())
    return where


def _of_devices(tx: Tx, which: Selection) -> list[Any]:
    where: list[Any] = []
    where += [_node.id == find.node(tx, which.node).id] if which.node else []
    where += [_node.region == which.region] if which.region else []
    where += [_endpoint.protocol == which.protocol] if which.protocol else []
    where += [_peer.device == which.device] if which.device else []
    return where


def _living(tx: Tx, which: Selection, column: Any) -> sa.Select[Any]:
    return (
        sa.select(column)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .where(_peer.revoked_at.is_(None), _peer.retiring_at.is_(None), *_of_devices(tx, which))
    )
