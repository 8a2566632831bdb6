"""Asking providers: for checkouts of new orders, and what became of those that wait. Nobody calls us for that.

A provider is asked outside of every transaction. Killed in between, the next round asks again: the order's id is the
key under which there is one checkout, and what comes back is booked once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl import errors
from vpnctl.actions.fleet import clock
from vpnctl.actions.sales import booking, orders
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.payments import provider
from vpnctl.payments.interface import Abilities, Bill, Checkout, ProviderRefused, ProviderSilent
from vpnctl.rules.orders import LATE, OrderState, ask_again, try_again
from vpnctl.store import models, outbox
from vpnctl.store.buying_rows import Order
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.queue import homes, pending_nodes

BATCH = 100
FAR = timedelta(days=2)
"""Nobody is asked as late as this from now."""
DOWN, ALERT_AFTER = "provider_down:", timedelta(minutes=10)
"""In meta, with the provider's name behind it: since when it does not answer. Then admins hear of it."""
_table = models.order.c


@dataclass
class Round:
    """What one round came to. `node_ids` have to hear of access that was bought."""

    counts: Counter[str] = field(default_factory=Counter)
    node_ids: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    """Providers that did not answer: in this round nobody waits for them again."""
    troubles: list[str] = field(default_factory=list)
    """What went wrong that nobody foresaw, a line each."""


def work(app: App) -> Round:
    """Ask what is due to be asked, end orders whose time is over, and see which are served on every node."""
    done = Round()
    due = _due(app)
    if due and clock.doubtful(app):  # a period would begin at a wrong time
        return done
    for order in due:
        if order.provider in done.silent:
            _later(app, order)
            continue
        try:
            _ask(app, order, done)
            _answers(app, order.provider)
        except ProviderSilent as error:
            done.silent.add(order.provider)
            done.counts["did not answer"] += 1
            _later(app, order)
            silent(app, order.provider, error)
        except ProviderRefused as error:
            done.counts["refused"] += 1
            _give_up(app, order, error)
        except Exception as error:  # noqa: BLE001 - one order must not keep the others from being asked about
            done.troubles.append(f"order {order.number}: {errors.told(error)}")
            _later(app, order)
    _expire(app, done)
    _fulfil(app, done)
    return done


def _due(app: App) -> list[Order]:
    """Return whom to ask about; what is due only long from now was put there by a clock that ran ahead."""
    now = app.clock()
    due = sa.or_(_table.ask_at <= now, _table.ask_at > now + FAR)
    with app.store.read() as tx:
        return tx.all(Order, due, order=_table.ask_at, limit=BATCH)


def bill(app: App, tx: Tx, order: Order) -> Bill:
    """Return an order as its provider is told of it."""
    user = orders.owner(tx, order)
    name = tx.meta("bot_name")
    return Bill(
        id=order.id,
        number=order.number,
        amount=order.amount,
        currency=order.currency,
        title=order.called(user.locale),
        expires_at=order.expires_at,
        now=app.clock(),
        return_url=app.settings.return_url or (f"https://t.me/{name}" if name else "https://t.me"),
        external_id=order.external_id or "",
        payer=str(user.telegram_id or ""),
    )


def _ask(app: App, order: Order, done: Round) -> None:
    taker = provider(order.provider, app.settings)
    with app.store.read() as tx:
        told = bill(app, tx, order)
    if order.external_id is None:
        if order.state == OrderState.DRAFT:
            _opened(app, order, taker.open(told, app.exchange), taker.supports)
            done.counts["opened"] += 1
        else:  # it was given up before there was anything to pay
            _note(app, order, None)
    elif taker.supports.look:
        booked = booking.book(app, order.provider, taker.look(told, app.exchange))
        done.node_ids.update(booked.node_ids)
        done.counts["booked" if booked.new else "asked"] += 1
        _next(app, order)
    else:
        _note(app, order, None)


def _opened(app: App, order: Order, made: Checkout, supports: Abilities) -> None:
    """Note where it is paid, and tell the person, in one transaction."""
    with app.store.write() as tx:
        now = tx.one(Order, _table.id == order.id)
        if now is None or now.state != OrderState.DRAFT:
            return
        next_at = ask_again(order.created_at, order.expires_at, app.clock()) if supports.look else None
        ready = orders.to(
            tx, app, now, OrderState.AWAITING, external_id=made.external_id, url=made.url or None, ask_at=next_at
        )
        user = orders.owner(tx, ready)
        if user.telegram_id is not None:
            told = _invoice(ready, user.locale) | {"how": dict(app.settings.manual_payment).get(ready.currency, "")}
            outbox.enqueue(tx, [Message(USER, "pay", order.id, "", told, user.id)], app.clock())


def _invoice(order: Order, locale: str) -> dict[str, object]:
    told = {"number": order.number, "plan": order.called(locale), "order": order.id}
    told |= {"amount": order.amount, "currency": order.currency, "url": order.url or "", "provider": order.provider}
    return told | {"ends_at": order.expires_at.isoformat()}


def _next(app: App, order: Order) -> None:
    """Ask again later, unless what was said ended it: then nobody is asked any more."""
    _note(app, order, ask_again(order.created_at, order.expires_at, app.clock()))


_DONE = (OrderState.PAID, OrderState.FULFILLED, OrderState.REVIEW, OrderState.REFUNDING, OrderState.REFUNDED)


def _note(app: App, order: Order, ask_at: datetime | None) -> None:
    with app.store.write() as tx:
        ended = tx.update(Order, _table.id == order.id, _table.state.in_(_DONE), ask_at=None, tries=0)
        if not ended:
            tx.update(Order, _table.id == order.id, ask_at=ask_at, tries=0)


def _later(app: App, order: Order) -> None:
    """Ask once more; an order of long ago is given up."""
    now = app.clock()
    next_at = try_again(order.tries, now) if now <= order.expires_at + LATE else None
    with app.store.write() as tx:
        tx.update(Order, _table.id == order.id, ask_at=next_at, tries=order.tries + 1)


def silent(app: App, name: str, error: VpnctlError) -> None:
    """Note since when a provider does not answer; after a while the admins hear of it, once."""
    now = app.clock()
    with app.store.write() as tx:
        since = tx.meta(DOWN + name)
        if not since:
            tx.set_meta(DOWN + name, now.isoformat())
        elif (now - now.fromisoformat(since)) >= ALERT_AFTER:
            details = {"provider": name, "since": since, "what": error.what}
            outbox.enqueue(tx, alerts.technical(app, "provider_down", name, since[:25], details), now)


def _answers(app: App, name: str) -> None:
    with app.store.read() as tx:
        down = tx.meta(DOWN + name)
    if down:
        with app.store.write() as tx:
            tx.set_meta(DOWN + name, "")


def _give_up(app: App, order: Order, error: VpnctlError) -> None:
    """A provider that refuses a checkout will refuse it again; one that refuses an answer is asked later."""
    with app.store.write() as tx:
        now = tx.one(Order, _table.id == order.id)
        if now is None or now.state != OrderState.DRAFT:
            tx.update(Order, _table.id == order.id, ask_at=try_again(order.tries, app.clock()), tries=order.tries + 1)
            return
        ended = orders.to(tx, app, now, OrderState.CANCELLED, reason=error.what[:200])
        user = orders.owner(tx, ended)
        title = ended.called(user.locale)
        messages = alerts.admins(app, "provider_refused", ended.id, "", {"number": ended.number, "what": error.what})
        if user.telegram_id is not None:
            messages.append(Message(USER, "not_paid", ended.id, "", {"number": ended.number, "plan": title}, user.id))
        outbox.enqueue(tx, messages, app.clock())


def _expire(app: App, done: Round) -> None:
    """End orders that waited long enough. Their providers are still asked for a while: money may come late."""
    now = app.clock()
    waiting = (_table.state.in_((OrderState.DRAFT, OrderState.AWAITING)), _table.expires_at <= now)
    with app.store.read() as tx:
        if not tx.all(Order, *waiting, limit=1):
            return
    if clock.jump(app):  # a clock that ran ahead would end them all
        return
    with app.store.write() as tx:
        for order in tx.all(Order, *waiting, limit=BATCH):
            asked = ask_again(order.created_at, order.expires_at, now) if order.external_id else None
            orders.to(tx, app, order, OrderState.EXPIRED, ask_at=asked if order.ask_at else None)
            if order.state == OrderState.DRAFT:  # the bot had said that the way to pay would come
                booking.tell(tx, app, order, "not_paid")
            done.counts["expired"] += 1


def _fulfil(app: App, done: Round) -> None:
    """See which paid orders are served: no node with a device of theirs waits for anything."""
    with app.store.read() as tx:
        paid = tx.all(Order, _table.state == OrderState.PAID, order=_table.changed_at, limit=BATCH)
        pending = set(pending_nodes(tx, app.clock())) if paid else set()
        served = [each for each in paid if not pending & set(homes(tx, each.user_id))]
    if not served:
        return
    with app.store.write() as tx:
        for order in served:
            now = tx.one(Order, _table.id == order.id)
            if now is not None and now.state == OrderState.PAID:
                orders.to(tx, app, now, OrderState.FULFILLED, fulfilled_at=app.clock())
                done.counts["fulfilled"] += 1
