"""What providers call us with: kept once, before they hear that we have it; what it says is asked for anew."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from vpnctl import errors
from vpnctl.actions.fleet import clock
from vpnctl.actions.sales import booking, checkout
from vpnctl.actions.sales.checkout import Round
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.payments import provider
from vpnctl.payments.interface import Bill, ProviderRefused, ProviderSilent
from vpnctl.rules.orders import OPEN, try_again
from vpnctl.store import models
from vpnctl.store.buying_rows import Order, WebhookEvent
from vpnctl.store.engine import Tx

LARGEST, BATCH, TRIES = 64 * 1024, 200, 20
"""Bytes of a body, events a round, and how often one is tried that its provider refuses to speak of."""
_table, _order = models.webhook_event.c, models.order.c


def receive(app: App, name: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Keep an event; return whether it is new. When this returns it is committed: answer 200, and only then.

    Of a provider that signs nothing, only what is about an order of ours is kept: others are found by asking.

    Raises Forged for what is not from its provider, InvalidInput for what is no event, or of a provider not set up.
    """
    if len(body) > LARGEST:
        raise InvalidInput("larger than an event is")
    taker = provider(name, app.settings)
    if not taker.ready:
        raise InvalidInput(f"{name} is not set up", "docs/payments.md")
    said = taker.heard({key.lower(): value for key, value in headers.items()}, body)
    now, signed = app.clock(), taker.supports.signed
    with app.store.read() as tx:
        if not signed and not _meant(tx, name, said.about):
            return False  # anybody may have sent it, and nothing of ours is meant
    with app.store.write() as tx:
        if tx.one(WebhookEvent, _table.provider == name, _table.event_id == said.event_id) is not None:
            return False
        row = WebhookEvent(
            id=str(uuid.uuid4()),
            provider=name,
            event_id=said.event_id,
            about=said.about,
            body=body if signed else None,
            received_at=now,
            not_before=now,
        )
        tx.insert(row)
        tx.wake()
    return True


def _meant(tx: Tx, name: str, about: str) -> bool:
    """Return whether it may be about an order of ours: of that checkout, or one whose checkout is being made."""
    opening = sa.and_(_order.external_id.is_(None), _order.state.in_(OPEN))
    return bool(tx.all(Order, _order.provider == name, sa.or_(_order.external_id == about, opening), limit=1))


def work(app: App) -> Round:
    """Ask about what events are about, and book what their providers say."""
    done = Round()
    with app.store.read() as tx:
        waiting = (_table.handled_at.is_(None), _table.not_before <= app.clock())
        rows = tx.all(WebhookEvent, *waiting, order=_table.received_at, limit=BATCH)
    if rows and clock.doubtful(app):
        return done
    for row in rows:
        if row.provider in done.silent:
            continue
        try:
            _handle(app, row, done)
        except ProviderSilent as error:
            done.silent.add(row.provider)
            checkout.silent(app, row.provider, error)
            _postpone(app, row, error.what, last=row.tries + 1 >= 3 * TRIES)
        except ProviderRefused as error:
            _postpone(app, row, error.what, last=row.tries + 1 >= TRIES)
        except Exception as error:  # noqa: BLE001 - one event must not keep the others from being handled
            what = errors.told(error)
            done.troubles.append(f"event {row.event_id}: {what}")
            _postpone(app, row, what)
    return done


def _handle(app: App, row: WebhookEvent, done: Round) -> None:
    taker = provider(row.provider, app.settings)
    if row.about and taker.supports.look:
        with app.store.read() as tx:
            told = _bill(app, tx, row)
        booked = booking.book(app, row.provider, taker.look(told, app.exchange))
        done.node_ids.update(booked.node_ids)
        done.counts["booked" if booked.new else "known"] += 1
    with app.store.write() as tx:
        tx.update(WebhookEvent, _table.id == row.id, handled_at=app.clock(), body=None, error=None)


def _bill(app: App, tx: Tx, row: WebhookEvent) -> Bill:
    """Return the order that an event is about; where there is none, only what the provider calls it."""
    order = tx.one(Order, _order.provider == row.provider, _order.external_id == row.about)
    if order is not None:
        return checkout.bill(app, tx, order)
    nobody = Bill("", 0, 0, "XXX", "", app.clock(), app.clock(), "")
    return replace(nobody, external_id=row.about)


def _postpone(app: App, row: WebhookEvent, why: str, *, last: bool = False) -> None:
    values = {"not_before": try_again(row.tries, app.clock()), "tries": row.tries + 1, "error": why[:200]}
    with app.store.write() as tx:
        tx.update(
            WebhookEvent, _table.id == row.id, **values, **({"handled_at": app.clock(), "body": None} if last else {})
        )
