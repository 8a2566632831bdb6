"""What an admin decides about money: a receipt, or a payment that waits in review."""

from __future__ import annotations

from dataclasses import replace

from vpnctl.actions.sales import booking, orders, refunds
from vpnctl.actions.sales.booking import Booked
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.payments.interface import MoneyStatus, Word
from vpnctl.rules.orders import EDGES, Fit, OrderState, PaymentState, fit
from vpnctl.store import models
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.engine import Tx
from vpnctl.texts.words import Words

_payment = models.payment.c
SHORTEST = 8
"""Characters of a payment's id."""


def accept(app: App, number: int, payment: str = "") -> Booked:
    """Serve an order whose money an admin saw, or that waits in review; Conflict where it is served already.

    What is in review is taken as it is; where there is none, the order's price counts as paid by hand. `payment`: how
    the id of one begins that named no order, or another one, and is meant for this.
    """
    with app.store.joint() as store, store.read() as tx:
        inside = replace(app, store=store)
        order = orders.by_number(tx, number)
        if OrderState.PAID not in EDGES[OrderState(order.state)]:
            raise Conflict(f"order {number} is {order.state}{_by(order)}", f"vpnctl order show {number}")
        waiting = [_meant(tx, inside, order, payment)] if payment else _waiting(tx, order)
        if waiting:
            came = waiting[0]
        elif order.provider == orders.MANUAL:
            word = Word(MoneyStatus.PAID, f"order {number}", amount=order.amount, currency=order.currency)
            came = booking.noted(tx, inside, orders.MANUAL, word, order, PaymentState.REVIEW)
        else:
            raise Conflict(
                f"no money came for order {number} yet", f"vpnctl payment reconcile, or: vpnctl order show {number}"
            )
        done = booking.serve(tx, inside, order, came, decided_by=app.actor)
        if done.order is None or done.order.state != OrderState.PAID:
            raise Conflict(done.payment.note or "it cannot be served" if done.payment else "it cannot be served")
        return done


def _waiting(tx: Tx, order: Order) -> list[Payment]:
    return tx.all(Payment, _payment.order_id == order.id, _payment.state == PaymentState.REVIEW)


def _meant(tx: Tx, app: App, order: Order, payment: str) -> Payment:
    """Return a payment that is to be taken for an order; the one that it came for, if any, waits no more."""
    if len(payment) < SHORTEST:
        raise InvalidInput("that is too short to be sure which payment it is", "8 characters of its id, or more")
    row = refunds.named(tx, payment)
    if row.state not in (PaymentState.ORPHAN, PaymentState.REVIEW):
        raise Conflict(f"payment {row.id[:8]} is {row.state}", "vpnctl payment list --state orphan --state review")
    fits = fit((order.amount, order.currency), (row.amount, row.currency))
    if fits not in (Fit.EXACT, Fit.OVER):
        what = "is less than the price" if fits is Fit.SHORT else f"is in {row.currency}, the order in {order.currency}"
        raise Conflict(f"payment {row.id[:8]} {what}", f"vpnctl payment refund {row.id[:8]}")
    before = tx.one(Order, models.order.c.id == row.order_id) if row.order_id not in (None, order.id) else None
    if before is not None and before.state == OrderState.REVIEW and len(_waiting(tx, before)) == 1:
        reason = f"its money was taken for order {order.number}"
        before = orders.to(tx, app, before, OrderState.REFUSED, decided_by=app.actor, reason=reason)
        booking.tell(tx, app, before, "order_refused", reason="")
    return row


def reject(app: App, number: int, reason: str) -> Order:
    """Refuse a proof, or an order in review, and say why. Money that came stays noted until it is given back."""
    with app.store.write() as tx:
        order = orders.by_number(tx, number)
        if OrderState.REFUSED not in EDGES[OrderState(order.state)]:
            raise Conflict(f"order {number} is {order.state}{_by(order)}", f"vpnctl order show {number}")
        order = orders.to(tx, app, order, OrderState.REFUSED, decided_by=app.actor, reason=reason or None)
        booking.tell(tx, app, order, "order_refused", reason=reason)
        return order


def reason_for(tx: Tx, number: int, reason: str) -> str:
    """Return a reason in the language of whose order it is, where it is one of ours."""
    locale = orders.owner(tx, orders.by_number(tx, number)).locale
    return Words(locale).translated(reason)


def _by(order: Order) -> str:
    return f", by {order.decided_by}" if order.decided_by else ""
