"""Giving money back. It is noted that it is to be, the provider is asked, and only what it says ends access."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vpnctl import errors
from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales import booking, checkout, orders
from vpnctl.actions.sales.booking import Booked
from vpnctl.actions.sales.checkout import Round
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.payments import provider
from vpnctl.payments.interface import Bill, ProviderRefused, ProviderSilent
from vpnctl.rules import grammar
from vpnctl.rules.orders import EDGES, OrderState, PaymentState, try_again
from vpnctl.store import events, models, outbox
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Subscription

BATCH = 50
_table, _order = models.payment.c, models.order.c
HAD = (PaymentState.BOOKED, PaymentState.REVIEW, PaymentState.ORPHAN)


def named(tx: Tx, start: str) -> Payment:
    """Return the payment whose id begins so; NotFound when there is none, or several."""
    if not re.fullmatch(r"[0-9a-f-]{1,36}", start):
        raise InvalidInput(f"'{grammar.clean(start)}' is not a payment's id", "vpnctl payment list")
    found = tx.all(Payment, _table.id.startswith(start, autoescape=True), limit=2)
    if len(found) != 1:
        raise NotFound(
            f"{'several payments begin' if found else 'no payment begins'} with {start!r}", "vpnctl payment list"
        )
    return found[0]


def refund(app: App, start: str, *, by_hand: bool = False) -> Booked:
    """Give a payment back in whole, and end the period that it bought. What was given back already is a success.

    `by_hand`: it was given back on the provider's page, or by a transfer. Conflict where the provider has no refunds;
    ProviderSilent where it does not answer: then it is asked again by itself.
    """
    with app.store.write() as tx:
        payment = named(tx, start)
        if payment.state == PaymentState.REFUNDED:
            return Booked(None, payment)
        if payment.state not in (*HAD, PaymentState.REFUNDING):
            raise Conflict(f"payment {start} brought no money", f"vpnctl payment show {start}")
        taker = provider(payment.provider, app.settings)
        if not by_hand and not taker.supports.refund:
            raise Conflict(
                f"{taker.title} gives nothing back by itself",
                f"give it back there, then: vpnctl payment refund {start} --by-hand",
            )
        if by_hand:
            return booking.gave_back(tx, app, payment)
        payment = _begin(tx, app, payment)
    return _carry(app, payment)


def _begin(tx: Tx, app: App, payment: Payment) -> Payment:
    """Note that it is to go back, before anybody is asked: killed then, the job goes on."""
    if payment.state == PaymentState.REFUNDING:
        return payment
    now = app.clock()
    tx.update(
        Payment, _table.id == payment.id, state=PaymentState.REFUNDING, ask_at=now, changed_at=now, decided_by=app.actor
    )
    was, after = {"state": payment.state}, {"state": PaymentState.REFUNDING}
    events.record(tx, stamp(app), "payment.refunding", booking.subject(payment), was, after)
    order = _of(tx, payment)
    if order is not None and OrderState.REFUNDING in EDGES[OrderState(order.state)]:
        orders.to(tx, app, order, OrderState.REFUNDING)
    found = tx.one(Payment, _table.id == payment.id)
    return found or payment


def _of(tx: Tx, payment: Payment) -> Order | None:
    """Return the order that a payment serves; a second payment for it is not that."""
    bought = models.subscription.c
    order = tx.one(Order, _order.id == payment.order_id) if payment.order_id else None
    if order is None or order.subscription_id is None:
        return order
    mine = tx.one(Subscription, bought.payment == payment.id)
    return order if mine is not None and mine.id == order.subscription_id else None


def _carry(app: App, payment: Payment) -> Booked:
    taker = provider(payment.provider, app.settings)
    with app.store.read() as tx:
        told = _bill(app, tx, payment)
    try:
        taker.refund(told, payment.external_id, app.exchange)
    except ProviderSilent:
        with app.store.write() as tx:
            later = {"ask_at": try_again(payment.tries, app.clock()), "tries": payment.tries + 1}
            tx.update(Payment, _table.id == payment.id, _table.state == PaymentState.REFUNDING, **later)
        raise
    except ProviderRefused as error:
        with app.store.write() as tx:
            _undo(tx, app, payment, error.what)
        raise
    with app.store.write() as tx:
        now = tx.one(Payment, _table.id == payment.id)
        if now is None or now.state != PaymentState.REFUNDING:
            return Booked(None, now)
        return booking.gave_back(tx, app, now)


def _bill(app: App, tx: Tx, payment: Payment) -> Bill:
    """Return what is to go back: what came, to whom it came from."""
    order = tx.one(Order, _order.id == payment.order_id) if payment.order_id else None
    payer = payment.payer or (checkout.bill(app, tx, order).payer if order else "")
    number, order_id = (order.number, order.id) if order else (0, "")
    return Bill(
        order_id, number, payment.amount, payment.currency, "", app.clock(), app.clock(), "", payment.external_id, payer
    )


def _undo(tx: Tx, app: App, payment: Payment, why: str) -> None:
    """The provider will not: all stays as it was, and admins hear of it. Nothing where it was decided meanwhile."""
    order = tx.one(Order, _order.id == payment.order_id) if payment.order_id else None
    served = tx.one(Subscription, models.subscription.c.payment == payment.id) is not None
    state = PaymentState.BOOKED if served else PaymentState.REVIEW if order else PaymentState.ORPHAN
    values = {"state": state, "ask_at": None, "note": why[:200], "changed_at": app.clock()}
    if not tx.update(Payment, _table.id == payment.id, _table.state == PaymentState.REFUNDING, **values):
        return
    events.record(tx, stamp(app), "payment.refund_failed", booking.subject(payment), None, {"note": why})
    told = {"payment": payment.id[:8], "what": why}
    once = app.clock().strftime("%Y%m%d%H%M%S")
    outbox.enqueue(tx, alerts.admins(app, "refund_failed", payment.id, once, told), app.clock())
    if order is not None and order.state == OrderState.REFUNDING:
        back = OrderState.PAID if order.subscription_id is not None else OrderState.REVIEW
        orders.to(tx, app, order, back, reason=why[:200])


def work(app: App) -> Round:
    """Go on with refunds that were begun and not finished."""
    done = Round()
    with app.store.read() as tx:
        due: Sequence[Payment] = tx.all(
            Payment, _table.state == PaymentState.REFUNDING, _table.ask_at <= app.clock(), limit=BATCH
        )
    for payment in due:
        if payment.provider in done.silent:
            continue
        try:
            done.node_ids.update(_carry(app, payment).node_ids)
            done.counts["refunded"] += 1
        except ProviderSilent as error:
            done.silent.add(payment.provider)
            checkout.silent(app, payment.provider, error)
        except ProviderRefused:
            done.counts["not refunded"] += 1
        except Exception as error:  # noqa: BLE001 - one refund must not keep the others waiting
            what = errors.told(error)
            done.troubles.append(f"payment {payment.id[:8]}: {what}")
            with app.store.write() as tx:
                later = {"ask_at": try_again(payment.tries, app.clock()), "tries": payment.tries + 1}
                tx.update(Payment, _table.id == payment.id, **later)
    return done
