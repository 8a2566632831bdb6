"""What a user may see of themselves: access and why not, devices, servers to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from vpnctl.reports.devices import PeerView, peers
from vpnctl.rules.access import Reason, serves, why_not_person
from vpnctl.rules.months import MONTH
from vpnctl.store import models, periods
from vpnctl.store.engine import Tx
from vpnctl.store.people import person
from vpnctl.store.rows import Plan, Subscription, User

_peer, _node, _endpoint, _sub = models.peer.c, models.node.c, models.endpoint.c, models.subscription.c


@dataclass(frozen=True)
class Overview:
    """A user's access now. `reason` says why there is none; `traffic` and `used` are bytes of the plan's period."""

    reason: Reason | None
    unlimited: bool
    plan: str
    until: datetime | None
    trial: bool
    period: str
    used: int
    traffic: int | None
    devices: tuple[PeerView, ...]
    limit: int | None


@dataclass(frozen=True)
class ServerView:
    """A node that a user may choose. `up` is what `health` found; without findings it counts as up."""

    name: str
    region: str
    up: bool
    here: int
    """How many of the user's devices are there."""


def overview(tx: Tx, now: datetime, user: User) -> Overview:
    """Return a user's access and devices; a device that is being moved is shown where it goes."""
    who = person(tx, user, now)
    terms = None if user.unlimited else periods.covering(periods.of(tx, user), now)
    ends = [each.ends_at for each in who.periods if each.cancelled_at is None and each.ends_at > now]
    return Overview(
        reason=why_not_person(who, now),
        unlimited=user.unlimited,
        plan=_called(tx, terms.plan, user.locale) if terms else "",
        until=max(ends, default=None) if not user.unlimited else None,
        trial=terms is not None and terms.source == "trial",
        period=(kind := terms.traffic_period if terms else MONTH),
        used=who.spent(kind),
        traffic=terms.traffic if terms else None,
        devices=tuple(devices(tx, now, user)),
        limit=user.device_limit if user.device_limit is not None else terms.devices if terms else None,
    )


def _called(tx: Tx, name: str, locale: str) -> str:
    """Return what a plan is called in a language; its name, where it is gone."""
    found = tx.one(Plan, models.plan.c.name == name)
    return found.called(locale) if found else name


def devices(tx: Tx, now: datetime, user: User) -> list[PeerView]:
    """Return the live devices, each once."""
    where = (_peer.user_id == user.id, _peer.revoked_at.is_(None), _peer.retiring_at.is_(None))
    return peers(tx, now, *where)


def outside(tx: Tx, now: datetime, user: User, places: Sequence[str]) -> list[PeerView]:
    """Return the live devices on nodes that none of these locations names; no locations mean all nodes."""
    regions = dict(tx.execute(sa.select(_node.name, _node.region).where(_node.retired_at.is_(None))).all())
    mine = devices(tx, now, user) if places else []
    return [each for each in mine if not serves(places, each.node, regions.get(each.node, ""))]


def device(tx: Tx, now: datetime, user: User, peer_id: str) -> PeerView | None:
    """Return one live device of this user, None when it is gone or somebody else's."""
    return next((each for each in devices(tx, now, user) if each.id == peer_id), None)


def servers(tx: Tx, now: datetime, user: User) -> list[ServerView]:
    """Return the nodes that the user's plan may use and that take people, by region and name."""
    terms = None if user.unlimited else periods.covering(periods.of(tx, user), now)
    places = terms.locations if terms else []
    query = (
        sa.select(_node.name, _node.region, models.node_health.c.verdict)
        .outerjoin(models.node_health, models.node_health.c.node_id == _node.id)
        .where(_node.retired_at.is_(None), _node.draining_at.is_(None), _node.id.in_(_serving()))
        .order_by(_node.region, _node.name)
    )
    mine = [each.node for each in devices(tx, now, user)]
    return [
        ServerView(name, region, verdict in (None, "up", "unknown"), mine.count(name))
        for name, region, verdict in tx.execute(query)
        if serves(places, name, region)
    ]


def protocols(tx: Tx) -> list[str]:
    """Return the protocols that some node serves."""
    query = sa.select(_endpoint.protocol).where(_endpoint.id.in_(_proven())).distinct().order_by(_endpoint.protocol)
    return list(tx.execute(query).scalars())


def on_sale(tx: Tx) -> list[Plan]:
    """Return the plans that can be had, trials apart."""
    table = models.plan.c
    return tx.all(Plan, table.on_sale.is_(True), table.trial.is_(False), order=table.created_at)


def may_try(tx: Tx, user: User) -> Plan | None:
    """Return the trial's plan for who never had a subscription; that they had a trial shows when it starts."""
    if user.unlimited or tx.all(Subscription, _sub.user_id == user.id, limit=1):
        return None
    table = models.plan.c
    found = tx.all(Plan, table.on_sale.is_(True), table.trial.is_(True), limit=1)
    return found[0] if found else None


def draft(tx: Tx, user: User) -> str:
    """Return the plan that the user was about to ask for; empty when there is none, or it is not sold any more."""
    table, plan = models.draft.c, models.plan.c
    query = sa.select(table.plan).join(models.plan, plan.name == table.plan)
    return tx.execute(query.where(table.user_id == user.id, plan.on_sale.is_(True))).scalar() or ""


def _proven() -> sa.Select[tuple[str]]:
    return sa.select(_endpoint.id).where(_endpoint.removed_at.is_(None), _endpoint.digest.is_not(None))


def _serving() -> sa.Select[tuple[str]]:
    return sa.select(_endpoint.node_id).where(_endpoint.id.in_(_proven()))
