"""Receipts of people who pay by hand: kept with their order until an admin decides, then forgotten."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import clock
from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales import copies, deciding, orders
from vpnctl.actions.sales.checkout import Round
from vpnctl.actions.sales.orders import MANUAL
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import Conflict, NotFound, VpnctlError
from vpnctl.rules import grammar
from vpnctl.rules.orders import LATE, OrderState
from vpnctl.store import events, models, outbox
from vpnctl.store.buying_rows import Order, Proof
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User

MOST = 10
"""Files that one order takes: an album has as many."""
AUTO = "auto"
"""Who decided, where nobody did in time."""
_table, _order = models.proof.c, models.order.c
_TAKES = (OrderState.AWAITING, OrderState.PROOF, OrderState.EXPIRED, OrderState.REFUSED, OrderState.CANCELLED)


class KnownProof(Conflict):
    """The same receipt was sent before, for another order."""


@dataclass(frozen=True)
class Receipt:
    """What somebody sends: a file that Telegram keeps (`kind` photo or document), or a reference as text."""

    kind: str
    file_id: str = ""
    file_key: str = ""
    reference: str = ""


def submit(app: App, user: User, receipt: Receipt) -> tuple[Order, bool]:
    """Keep a receipt for the newest order that this person pays by hand; return it, and whether it is the first.

    NotFound where there is no such order, KnownProof for a receipt of another order. The same one again, and the
    further pictures of an album, change nothing but that they are kept.
    """
    with app.store.write() as tx:
        order = expecting(tx, app, user)
        if order is None:
            raise NotFound("no order of theirs waits for a receipt")
        row = _row(app, order, receipt)
        same = sa.or_(
            _table.file_key == row.file_key if row.file_key else sa.false(),
            _table.digest == row.digest if row.digest else sa.false(),
        )
        known = tx.all(Proof, same, limit=1)
        if known and known[0].order_id != order.id:
            raise KnownProof("that receipt was sent before, for another order")
        there = tx.all(Proof, _table.order_id == order.id, _table.forgotten_at.is_(None))
        if known or len(there) >= MOST:
            return order, False
        tx.insert(row)
        first = order.state != OrderState.PROOF
        order = orders.to(tx, app, order, OrderState.PROOF, ask_at=None) if first else order
        outbox.enqueue(tx, alerts.admins(app, "proof", row.id, "", _told(order, user, row)), app.clock())
        return order, first


def expecting(tx: Tx, app: App, user: User, *, closed: bool = True) -> Order | None:
    """Return the newest order of somebody that a receipt can be for; `closed` ones too, for money may be on its way."""
    since = app.clock() - LATE
    mine = (
        _order.user_id == user.id,
        _order.provider == MANUAL,
        _order.state.in_(_TAKES if closed else _TAKES[:2]),
        _order.expires_at > since,
    )
    found = tx.all(Order, *mine, order=_order.number.desc(), limit=1)
    return found[0] if found else None


def _row(app: App, order: Order, receipt: Receipt) -> Proof:
    reference = grammar.free_text(receipt.reference, "reference")[:200] if receipt.reference else None
    digest = hashlib.sha256("".join((reference or "").lower().split()).encode()).hexdigest() if reference else None
    return Proof(
        id=str(uuid.uuid4()),
        order_id=order.id,
        kind=receipt.kind,
        file_id=receipt.file_id or None,
        file_key=receipt.file_key or None,
        digest=digest,
        reference=reference,
        created_at=app.clock(),
    )


def _told(order: Order, user: User, row: Proof) -> dict[str, Any]:
    told = {"number": order.number, "user": user.name, "display": user.display_name, "proof": row.id}
    told |= {"plan": order.called(), "amount": order.amount, "currency": order.currency}
    return told | {"reference": row.reference or ""}


def forget(tx: Tx, app: App) -> int:
    """Forget what receipts show whose orders are decided. What tells a copy of one is kept."""
    decided = sa.select(_order.id).where(_order.state.not_in(_TAKES[:3]))
    gone = {"file_id": None, "reference": None, "forgotten_at": app.clock()}
    nobody_compares = sa.false() if app.settings.bot_token else sa.true()
    compared = sa.or_(_table.file_id.is_(None), _table.digest.is_not(None), nobody_compares)
    return tx.update(Proof, _table.forgotten_at.is_(None), _table.order_id.in_(decided), compared, **gone)


def work(app: App) -> Round:
    """Accept receipts that no admin decided on in time, as far as the settings let; forget those that are decided."""
    done = Round()
    for order in _overdue(app):
        try:
            booked = deciding.accept(replace(app, actor=AUTO), order.number)
        except VpnctlError:
            continue
        done.node_ids.update(booked.node_ids)
        done.counts["accepted unseen"] += 1
        with app.store.write() as tx:
            events.record(tx, replace(stamp(app), actor=AUTO), "order.auto_accept", orders.subject(order))
            details = {"number": order.number, "amount": order.amount, "currency": order.currency}
            outbox.enqueue(tx, alerts.admins(app, "auto_accepted", order.id, "", details), app.clock())
    with app.store.read() as tx:
        some = tx.all(Proof, _table.forgotten_at.is_(None), limit=1)
    if some:
        with app.store.write() as tx:
            done.counts["receipts forgotten"] += forget(tx, app)
    return done


def _overdue(app: App) -> list[Order]:
    """Return orders that may be accepted unseen: old enough, cheap enough, few enough today, one a person."""
    hours, most = app.settings.manual_accept_hours, dict(app.settings.manual_accept_most)
    if not hours or not most or clock.doubtful(app):
        return []
    now = app.clock()
    with app.store.read() as tx:
        lately = tx.all(Order, _order.decided_by == AUTO, _order.paid_at > now - timedelta(days=1))
        late = _order.changed_at <= now - timedelta(hours=hours)
        old = (_order.state == OrderState.PROOF, late, _order.id.not_in(copies.unproven()))
        waiting = tx.all(Order, *old, order=_order.changed_at)
    people, chosen = {each.user_id for each in lately}, list[Order]()
    for order in waiting:
        room = len(lately) + len(chosen) < app.settings.manual_accept_daily
        if room and order.user_id not in people and order.amount <= most.get(order.currency, -1):
            chosen.append(order)
            people.add(order.user_id)
    return chosen
