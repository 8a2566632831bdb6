"""What users ask for: a device, new keys, another server, a plan. Done at once, or after an admin's word."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people import migration, peers
from vpnctl.actions.people.issue import Issued, Wanted
from vpnctl.actions.sales import methods, plans, subscriptions
from vpnctl.actions.sales.paid import Paid
from vpnctl.actions.talk import alerts, handover
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound, TooOften, WaitsAlready
from vpnctl.rules import grammar
from vpnctl.store import events, models, outbox, periods
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.rows import Peer, Plan, Subscription, User
from vpnctl.store.talk_rows import WITHDRAWN, Request
from vpnctl.texts.words import Words

_table = models.request.c
DEVICE, REGEN, MOVE, PLAN = "device", "regen", "move", "plan"
HOURLY = 10
"""Configs that one person may get in an hour."""
OPEN = 5
"""Requests of one person that may wait at a time."""


@dataclass(frozen=True)
class Asked:
    """What became of a wish: `waits` for an admin, or done, with the nodes to be settled."""

    waits: bool
    node_ids: tuple[str, ...] = ()


def want(app: App, user: User, kind: str, details: dict[str, Any]) -> Asked:
    """Do what a user wants, or ask the admins: always for a plan, for configs where the setting says so."""
    with app.store.write() as tx:
        if kind == PLAN or app.settings.approve_configs:
            _ask(tx, app, user, kind, details)
            return Asked(waits=True)
        _limit(tx, app, user)
    return Asked(False, tuple(_perform(app, user, kind, details)))


def again(app: App, user: User, peer_id: str) -> None:
    """Send the config of a device once more; Conflict when its key is not kept."""
    with app.store.write() as tx:
        if handover.waits(tx, peer_id):
            return
        _limit(tx, app, user)
        handover.send(tx, app, [peers.reveal_id(app, peer_id)])


def _limit(tx: Tx, app: App, user: User) -> None:
    table = models.notice.c
    where = (
        table.user_id == user.id,
        table.kind == handover.FILE,
        table.created_at > app.clock() - timedelta(hours=1),
    )
    if (tx.execute(sa.select(sa.func.count()).where(*where)).scalar() or 0) >= HOURLY:
        raise TooOften(f"{HOURLY} configs an hour are enough")


def _ask(tx: Tx, app: App, user: User, kind: str, details: dict[str, Any]) -> None:
    """Enqueue a request for the admins; the same one is asked once as long as it waits."""
    waiting = tx.all(Request, _table.user_id == user.id, _table.decided_at.is_(None))
    if any((each.kind, each.details) == (kind, details) for each in waiting):
        return
    if len(waiting) >= OPEN:
        raise WaitsAlready("enough requests wait already")
    lately = (_table.user_id == user.id, _table.created_at > app.clock() - timedelta(hours=1))
    if len(tx.all(Request, *lately, limit=HOURLY)) >= HOURLY:  # withdrawn ones too: each was told to the admins
        raise TooOften(f"{HOURLY} requests an hour are enough")
    row = Request(id=str(uuid.uuid4()), user_id=user.id, kind=kind, details=details, created_at=app.clock())
    tx.insert(row)
    events.record(tx, stamp(app), "request.ask", ("request", row.id, user.name), None, {"kind": kind, **details})
    told = {"user": user.name, "id": row.id, "kind": kind, **_shown(tx, details), **about(tx, user, details)}
    outbox.enqueue(tx, alerts.admins(app, "request", row.id, "", told), app.clock())


def _shown(tx: Tx, details: dict[str, Any], locale: str = "") -> dict[str, Any]:
    """Return what a request asks for as people of a language read it: a plan by its title."""
    titles = plans.titles(tx, locale) if "plan" in details else {}
    return details | ({"plan": titles.get(details["plan"], details["plan"])} if "plan" in details else {})


def about(tx: Tx, user: User, details: dict[str, Any]) -> dict[str, Any]:
    """Return what an admin wants to know of who asks: what they call themselves, prices, and how often they paid."""
    plan = tx.one(Plan, models.plan.c.name == details["plan"]) if "plan" in details else None
    told = {"display": user.display_name, "paid": methods.paid(tx, user)}
    return told | {"prices": plan.prices if plan else {}}


def wish(tx: Tx, user: User) -> Request | None:
    """Return the plan that a user asked for and that no admin decided on yet."""
    waiting = (_table.user_id == user.id, _table.decided_at.is_(None), _table.kind == PLAN)
    return next(iter(tx.all(Request, *waiting, order=_table.created_at, limit=1)), None)


def withdraw(app: App, user: User, request_id: str) -> None:
    """Take a wish back; Conflict when it was decided meanwhile."""
    with app.store.write() as tx:
        mine = (_table.id == request_id, _table.user_id == user.id, _table.decided_at.is_(None))
        row = tx.one(Request, *mine)
        if row is None:
            raise Conflict("it was decided already")
        decision = {"decided_at": app.clock(), "decided_by": app.actor, "granted": False}
        tx.update(Request, *mine, **decision, details=row.details | {WITHDRAWN: True})
        events.record(tx, stamp(app), "request.withdraw", ("request", row.id, user.name))


def _perform(app: App, user: User, kind: str, details: dict[str, Any], paid: Paid | None = None) -> list[str]:
    """Do it, and enqueue the configs that come of it; return the nodes to settle."""
    if kind == PLAN:
        granted = subscriptions.grant(app, user.name, details["plan"], paid=paid)
        tell_access(app, granted)
        return granted.node_ids
    made = _issue(handover.keeping(app), user, kind, details)
    with app.store.write() as tx:
        handover.send(tx, app, made)
    return sorted({node_id for each in made for node_id in each.node_ids})


def tell_end(app: App, user: User) -> None:
    """Tell a user until when access lasts, after something was taken back; nothing where there is none any more."""
    with app.store.write() as tx:
        left = [each for each in periods.of(tx, user) if each.cancelled_at is None and each.ends_at > app.clock()]
        last = max(left, key=lambda each: each.ends_at, default=None)
        if last is not None:
            _tell_until(tx, app, user, last, f"{app.clock():%Y%m%dT%H%M%S%f}")


def _tell_until(tx: Tx, app: App, user: User, row: Subscription, key: str) -> None:
    if user.telegram_id is not None:
        plan = plans.titles(tx, user.locale).get(row.plan, row.plan)
        details = {"plan": plan, "ends_at": row.ends_at.isoformat()}
        outbox.enqueue(tx, [Message(USER, "granted", row.id, key, details, user.id)], app.clock())


def _named_now(app: App, details: dict[str, Any]) -> dict[str, Any]:
    """Return a request's details with the name that its device has by now."""
    with app.store.read() as tx:
        peer = tx.one(Peer, models.peer.c.id == details.get("peer"), models.peer.c.revoked_at.is_(None))
    return details | ({"device": peer.device} if peer is not None else {})


def _issue(app: App, user: User, kind: str, details: dict[str, Any]) -> list[Issued]:
    details = _named_now(app, details) if "peer" in details else details
    if kind == DEVICE:
        return peers.add(app, [Wanted(user.name, details["device"], protocol=details["protocol"])])
    if kind == REGEN:
        return [peers.regen(app, f"{user.name}/{details['device']}")]
    moved = migration.start(app, user.name, migration.Destination(details["node"]), device=details["device"])
    return [each.new for each in moved]


def tell_access(app: App, granted: subscriptions.Granted) -> None:
    """Tell a user until when access lasts now."""
    with app.store.write() as tx:
        _tell_until(tx, app, granted.user, granted.subscription, "")


@dataclass(frozen=True)
class Decided:
    """A request, and whose it is."""

    request: Request
    user: User


def decide(app: App, request_id: str, *, granted: bool, paid: Paid | None = None, reason: str = "") -> Done[Decided]:
    """Grant, or refuse for a `reason`; Conflict when somebody decided before, or something `paid` has no price."""
    with app.store.joint() as store, store.read() as tx:
        inside = replace(app, store=store)
        row = tx.one(Request, _table.id == request_id)
        user = tx.one(User, models.user.c.id == row.user_id, models.user.c.removed_at.is_(None)) if row else None
        if row is None or user is None:
            raise NotFound("there is no such request (any more)", "vpnctl request list")
        if paid is not None and row.kind != PLAN:
            raise Conflict("only a plan is paid for", "leave --paid out")
        decision = {"decided_at": app.clock(), "decided_by": app.actor, "granted": granted}
        if not tx.update(Request, _table.id == row.id, _table.decided_at.is_(None), **decision):
            word = "granted" if row.granted else "withdrawn" if WITHDRAWN in row.details else "refused"
            raise Conflict(f"it was {word} already, by {row.decided_by}", "vpnctl request list --all")
        verb = "request.grant" if granted else "request.refuse"
        events.record(tx, stamp(app), verb, ("request", row.id, user.name), None, {"kind": row.kind, **row.details})
        if not granted and user.telegram_id is not None:
            why = Words(user.locale).translated(reason)
            details = {"kind": row.kind, "reason": why, **_shown(tx, row.details, user.locale)}
            outbox.enqueue(tx, [Message(USER, "refused", row.id, "", details, user.id)], app.clock())
        return Done(Decided(row, user), _perform(inside, user, row.kind, row.details, paid) if granted else [])


def named(tx: Tx, start: str) -> Request:
    """Return the request whose id begins so; NotFound when there is none, or several."""
    if not re.fullmatch(r"[0-9a-f-]{1,36}", start):
        raise InvalidInput(f"'{grammar.clean(start)}' is not a request's id", "vpnctl request list")
    found = tx.all(Request, _table.id.startswith(start, autoescape=True), limit=2)
    if len(found) != 1:
        what = "several requests begin" if found else "no request begins"
        raise NotFound(f"{what} with {start!r}", "vpnctl request list")
    return found[0]


def device_name(tx: Tx, user: User, kind: str) -> str:
    """Return a free device name of that kind: `phone`, `phone-2`…"""
    table = models.peer.c
    where = (table.user_id == user.id, table.revoked_at.is_(None))
    taken = set(tx.execute(sa.select(table.device).where(*where)).scalars())
    asked = tx.all(Request, _table.user_id == user.id, _table.decided_at.is_(None), _table.kind == DEVICE)
    taken |= {each.details["device"] for each in asked}
    wish = grammar.name(kind, "device name")
    return next(name for number in range(1, 1002) if (name := wish if number == 1 else f"{wish}-{number}") not in taken)
