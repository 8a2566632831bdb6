"""Money that came is booked here, and nowhere else: once, together with the access that it buys, in one transaction.

Whoever brings the word (a poll, a webhook, Telegram's own message, an admin), `book` does the same with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales import orders, subscriptions
from vpnctl.actions.sales.paid import Paid
from vpnctl.actions.sales.subscriptions import Sale
from vpnctl.actions.sales.taking_back import take_back
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.payments.interface import MoneyStatus, Word
from vpnctl.rules import money
from vpnctl.rules.grammar import clean
from vpnctl.rules.orders import EDGES, OPEN, Charge, Fit, OrderState, PaymentState, fit
from vpnctl.rules.translation import mark
from vpnctl.store import events, models, outbox, periods
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.rows import Subscription, User

_order, _payment = models.order.c, models.payment.c


@dataclass(frozen=True)
class Booked:
    """What became of a word: the order and the payment as they are now, and the nodes that have to hear of it."""

    order: Order | None
    payment: Payment | None
    node_ids: Sequence[str] = ()
    new: bool = False
    """Whether it said anything that was not known."""


def book(app: App, provider: str, word: Word) -> Booked:
    """Book what a provider says of a payment. The same word again changes nothing."""
    if word.amount is not None and not 0 <= word.amount <= 10 * money.MOST:
        word = replace(word, amount=None)  # no sum of money: a person must look at it
    with app.store.joint() as store, store.read() as tx:
        inside = replace(app, store=store)
        order = order_of(tx, provider, word)
        known = tx.one(Payment, _payment.provider == provider, _payment.external_id == word.external_id)
        if word.status is MoneyStatus.PAID:
            return _paid(tx, inside, provider, word, order, known)
        if word.status is MoneyStatus.REFUNDED:
            return _refunded(tx, inside, provider, word, order, known)
        if word.status is MoneyStatus.FAILED:
            return _failed(tx, inside, provider, word, order, known)
        return Booked(order, known)


def by_telegram(app: App, charge: Charge, payer: str) -> Booked:
    """Book what Telegram says of an invoice: of Stars, or of its Payments, as its currency tells."""
    status, back = (MoneyStatus.REFUNDED, charge.amount) if charge.back else (MoneyStatus.PAID, 0)
    order = charge.order_id
    word = Word(status, charge.name, order, order, charge.amount, charge.currency, payer, back)
    return book(app, "stars" if charge.currency == "XTR" else "telegram", word)


def order_of(tx: Tx, provider: str, word: Word) -> Order | None:
    """Return the order that a provider's word is about, by our id or by the checkout's."""
    mine = (_order.provider == provider,)
    found = tx.one(Order, *mine, _order.id == word.order_id) if word.order_id else None
    return found or (tx.one(Order, *mine, _order.external_id == word.checkout_id) if word.checkout_id else None)


def _paid(tx: Tx, app: App, provider: str, word: Word, order: Order | None, known: Payment | None) -> Booked:
    if known is not None and known.state != PaymentState.FAILED:
        return _partly_back(tx, app, word, order, known)
    if known is not None:
        came = {"amount": word.amount or 0, "currency": word.currency or known.currency, "raw": dict(word.raw)}
        tx.update(Payment, _payment.id == known.id, state=PaymentState.REVIEW, changed_at=app.clock(), **came)
        payment = tx.one(Payment, _payment.id == known.id) or known
    else:
        payment = noted(tx, app, provider, word, order, PaymentState.REVIEW)
    if order is None:
        return _aside(tx, app, None, payment, mark("it names no order of ours"), PaymentState.ORPHAN)
    why = _doubt(tx, order, word)
    return _aside(tx, app, order, payment, why) if why else serve(tx, app, order, payment)


def noted(tx: Tx, app: App, provider: str, word: Word, order: Order | None, state: PaymentState) -> Payment:
    """Note what a provider says of money that was not known, and return it as it is kept."""
    now = app.clock()
    row = Payment(
        id=str(uuid.uuid4()),
        provider=provider,
        external_id=word.external_id,
        order_id=order.id if order else None,
        state=state,
        amount=word.amount if word.amount is not None else 0,
        currency=word.currency or (order.currency if order else "XXX"),
        payer=word.payer or None,
        created_at=now,
        changed_at=now,
        raw=dict(word.raw),
    )
    tx.insert(row)
    return row


def _doubt(tx: Tx, order: Order, word: Word) -> str:
    """Return why a person must look at money that came; empty where it is what was asked for, or more."""
    user = orders.owner(tx, order)
    if user.removed_at is not None or user.blocked_at is not None or user.unlimited or user.approved_at is None:
        return mark("the person is suspended, removed or unlimited")
    if OrderState.PAID not in EDGES[OrderState(order.state)] or order.state == OrderState.REVIEW:
        return mark("the order was paid before")
    if word.amount is None or word.currency is None:
        return mark("the amount is not the order's")
    if word.refunded:
        return mark("a part of it went back already")
    found = fit((order.amount, order.currency), (word.amount, word.currency))
    return {Fit.SHORT: mark("less than the price"), Fit.OTHER_CURRENCY: mark("another currency")}.get(found, "")


def _aside(
    tx: Tx, app: App, order: Order | None, payment: Payment, why: str, state: PaymentState = PaymentState.REVIEW
) -> Booked:
    """Put money aside for an admin to look at. None of it is lost, and nobody gets anything for it yet."""
    tx.update(Payment, _payment.id == payment.id, state=state, note=why, changed_at=app.clock())
    payment = replace(payment, state=state, note=why)
    told = {"state": state, "note": why, "amount": payment.amount, "currency": payment.currency}
    events.record(tx, stamp(app), f"payment.{state}", subject(payment), None, told)
    if order is not None and OrderState.REVIEW in EDGES[OrderState(order.state)]:
        order = orders.to(tx, app, order, OrderState.REVIEW, reason=why)
    details = {"provider": payment.provider, "amount": payment.amount, "currency": payment.currency, "why": why}
    details |= {"number": order.number if order else 0, "payment": payment.id[:8]}
    outbox.enqueue(tx, alerts.admins(app, "review", payment.id, "", details), app.clock())
    return Booked(order, payment, new=True)


def serve(tx: Tx, app: App, order: Order, payment: Payment, decided_by: str | None = None) -> Booked:
    """Give what was paid for, and book the payment: one transaction. Where giving fails, the money waits for an admin.

    The plan and its price are those of the order. A bigger plan begins now if that was told, and still is so.
    """
    user, now = orders.owner(tx, order), app.clock()
    paid = Paid(payment.id, payment.currency, payment.amount)
    running = periods.covering(periods.of(tx, user), now)
    upgrade = order.replaces_id is not None and running is not None and running.id == order.replaces_id
    try:
        with app.store.write():
            granted = subscriptions.add(
                tx, app, user, orders.terms(order), Sale("subscription.buy", paid, upgrade=upgrade)
            )
    except VpnctlError as error:
        return _aside(tx, app, order, payment, clean(f"access could not be given: {error.what}", 180))
    note = f"more than the price of {order.amount}" if payment.amount > order.amount else None
    booked = {"state": PaymentState.BOOKED, "order_id": order.id, "note": note, "changed_at": now}
    tx.update(Payment, _payment.id == payment.id, **booked, decided_by=decided_by)
    told = {"amount": payment.amount, "currency": payment.currency, "order": order.number}
    events.record(tx, stamp(app), "payment.booked", subject(payment), None, told | ({"note": note} if note else {}))
    gave = {"paid_at": now, "subscription_id": granted.subscription.id, "decided_by": decided_by, "reason": note}
    order = orders.to(tx, app, order, OrderState.PAID, **gave)
    _tell(tx, app, user, "paid", payment.id, _thanks(order, granted.subscription, user))
    return Booked(order, tx.one(Payment, _payment.id == payment.id), granted.node_ids, new=True)


def _thanks(order: Order, row: Subscription, user: User) -> dict[str, Any]:
    return {"number": order.number, "plan": order.called(user.locale), "ends_at": row.ends_at.isoformat()}


def _tell(tx: Tx, app: App, user: User, kind: str, about: str, details: dict[str, Any]) -> None:
    if user.telegram_id is not None:
        outbox.enqueue(tx, [Message(USER, kind, about, "", details, user.id)], app.clock())


def _failed(tx: Tx, app: App, provider: str, word: Word, order: Order | None, known: Payment | None) -> Booked:
    """An attempt that brought no money ends its order, which can be made anew."""
    if known is None and word.external_id:
        known = noted(tx, app, provider, word, order, PaymentState.FAILED)
        events.record(tx, stamp(app), "payment.failed", subject(known), None, {"state": PaymentState.FAILED})
    if order is None or order.state not in OPEN:
        return Booked(order, known)
    order = orders.to(tx, app, order, OrderState.CANCELLED, reason="the provider says that it was not paid")
    tell(tx, app, order, "not_paid")
    return Booked(order, known, new=True)


def _partly_back(tx: Tx, app: App, word: Word, order: Order | None, known: Payment) -> Booked:
    """The provider gave a part back on its own page: it is told, and changes no access."""
    note = f"{word.refunded} of it went back" if word.refunded else None
    if note is None or known.note == note or known.state != PaymentState.BOOKED:
        return Booked(order, known)
    tx.update(Payment, _payment.id == known.id, note=note, changed_at=app.clock())
    events.record(tx, stamp(app), "payment.partly_refunded", subject(known), None, {"refunded": word.refunded})
    return Booked(order, replace(known, note=note), new=True)


def _refunded(tx: Tx, app: App, provider: str, word: Word, order: Order | None, known: Payment | None) -> Booked:
    if known is None:
        known = noted(tx, app, provider, word, order, PaymentState.BOOKED)
    if known.state == PaymentState.REFUNDED:
        return Booked(order, known)
    return gave_back(tx, app, known)


def gave_back(tx: Tx, app: App, payment: Payment) -> Booked:
    """Note that a payment went back in whole. The period that it bought ends now; what waits behind moves forward."""
    now = app.clock()
    order = tx.one(Order, _order.id == payment.order_id) if payment.order_id else None
    tx.update(Payment, _payment.id == payment.id, state=PaymentState.REFUNDED, ask_at=None, changed_at=now)
    told = {"state": PaymentState.REFUNDED, "amount": payment.amount, "currency": payment.currency}
    events.record(tx, stamp(app), "payment.refunded", subject(payment), {"state": payment.state}, told)
    payment = replace(payment, state=PaymentState.REFUNDED)
    bought = tx.one(Subscription, models.subscription.c.payment == payment.id)
    nodes: list[str] = []
    if bought is not None:
        user = tx.one(User, models.user.c.id == bought.user_id)
        if user is not None and user.removed_at is None:
            nodes = [each for row in _given(tx, bought, now) for each in take_back(tx, app, user, row, unlimited=False)]
    if order is not None and _settles(order, bought):
        order = orders.to(tx, app, order, OrderState.REFUNDED)
        tell(tx, app, order, "refunded")
    return Booked(order, payment, nodes, new=True)


def _given(tx: Tx, bought: Subscription, now: datetime) -> list[Subscription]:
    """Return what is left of a period that was bought: itself, and the rests that upgrades moved behind."""
    table, found = models.subscription.c, [bought]
    for each in found:
        same = (table.user_id == each.user_id, table.plan == each.plan, table.source == subscriptions.GRANT)
        found += tx.all(
            Subscription, *same, table.created_at == each.ends_at, table.id.not_in([row.id for row in found])
        )
    return [each for each in found if each.cancelled_at is None and each.ends_at > now]


def _settles(order: Order, bought: Subscription | None) -> bool:
    """Return whether the order ends with this payment: a second one for it that goes back changes nothing."""
    its = bought is not None and order.subscription_id == bought.id
    return (its or order.subscription_id is None) and OrderState.REFUNDED in EDGES[OrderState(order.state)]


def subject(payment: Payment) -> tuple[str, str, str]:
    """Return what events of a payment are about."""
    return ("payment", payment.id, f"{payment.provider} {payment.id[:8]}")


def tell(tx: Tx, app: App, order: Order, kind: str, **more: Any) -> None:
    """Tell whose order it is something about it."""
    user = orders.owner(tx, order)
    _tell(tx, app, user, kind, order.id, {"number": order.number, "plan": order.called(user.locale), **more})
