"""Orders: what somebody is about to buy, with plan and price pinned. One open order a person."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales import methods, plans
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, NotFound
from vpnctl.payments import provider
from vpnctl.rules.orders import EDGES, OPEN, OrderState
from vpnctl.store import events, models, periods, room
from vpnctl.store.buying_rows import Order
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Plan, User

_table = models.order.c
_COPIED = tuple(each.name for each in fields(Plan) if each.name not in ("created_at", "prices"))
MANUAL = "manual"
PROOF_TIME = timedelta(days=3)
"""How long an order that is paid by hand waits: a transfer takes longer than a card."""


def place(app: App, user: User, plan: str, currency: str, taker: str) -> Order:
    """Order a plan at its present price, to be paid in a currency at a provider.

    The same wish again is the same order, as long as it is open; another one takes its place. Conflict for who needs
    no plan or may not have one, and where the plan, the price or the provider is not there.
    """
    with app.store.write() as tx:
        terms = plans.for_sale(tx, plan)
        _refuse(app, user, terms, currency, taker)
        amount = terms.prices[currency]
        for each in open_orders(tx, user):
            if (each.plan, each.currency, each.amount, each.provider) == (plan, currency, amount, taker):
                return each
            if each.state != OrderState.PROOF:
                to(tx, app, each, OrderState.CANCELLED, reason="another order took its place", ask_at=each.ask_at)
        order = _made(tx, app, user, terms, currency, taker)
        tx.insert(order)
        told = {"plan": plan, "amount": amount, "currency": currency, "provider": taker, "state": order.state}
        events.record(tx, stamp(app), "order.draft", subject(order), None, told)
        return order


def _refuse(app: App, user: User, terms: Plan, currency: str, taker: str) -> None:
    if user.unlimited:
        raise Conflict(f"{user.name} is unlimited and needs no plan", f"vpnctl user set {user.name} --limited")
    if user.blocked_at is not None or user.removed_at is not None or user.approved_at is None:
        raise Conflict(f"{user.name} may not buy: not let in, or suspended", f"vpnctl user show {user.name}")
    if terms.trial or currency not in terms.prices:
        raise Conflict(f"plan {terms.name} has no price in {currency}", f"vpnctl plan price {terms.name} {currency}=…")
    who = provider(taker, app.settings)
    if not who.ready or not who.takes(currency):
        raise Conflict(f"{who.title} is not set up for {currency}", "docs/payments.md says what to set")


def _made(tx: Tx, app: App, user: User, terms: Plan, currency: str, taker: str) -> Order:
    now = app.clock()
    would = methods.foresee(tx, app, user, terms)
    running = periods.covering(periods.of(tx, user), now)
    waits = PROOF_TIME if taker == MANUAL else timedelta(minutes=app.settings.order_minutes)
    return Order(
        id=str(uuid.uuid4()),
        number=1 + (tx.execute(sa.select(sa.func.max(_table.number))).scalar() or 0),
        user_id=user.id,
        state=OrderState.DRAFT,
        terms={name: getattr(terms, name) for name in _COPIED},
        plan=terms.name,
        amount=terms.prices[currency],
        currency=currency,
        replaces_id=running.id if running and would.kept else None,
        provider=taker,
        created_at=now,
        expires_at=now + waits,
        changed_at=now,
        ask_at=now,
    )


def terms(order: Order) -> Plan:
    """Return the plan as it was bought, at the price that was told."""
    return Plan(**order.terms, prices={order.currency: order.amount}, created_at=order.created_at)


def open_orders(tx: Tx, user: User) -> list[Order]:
    """Return a person's orders that wait for money or a word, the newest first."""
    return tx.all(Order, _table.user_id == user.id, _table.state.in_(OPEN), order=_table.number.desc())


def by_number(tx: Tx, number: int) -> Order:
    """Return an order; NotFound with the command that lists them."""
    found = tx.one(Order, _table.number == number)
    if found is None:
        raise NotFound(f"there is no order {number}", "vpnctl order list")
    return found


def owner(tx: Tx, order: Order) -> User:
    """Return whose order it is, removed or not."""
    found = tx.one(User, models.user.c.id == order.user_id)
    if found is None:
        raise NotFound(f"order {order.number} is nobody's", "vpnctl order list")
    return found


def subject(order: Order) -> tuple[str, str, str]:
    """Return what events of an order are about."""
    return ("order", order.id, str(order.number))


def to(tx: Tx, app: App, order: Order, state: OrderState, **values: Any) -> Order:
    """Bring an order into a state; every such step is an event. Conflict where it cannot go there from its own."""
    if state not in EDGES[OrderState(order.state)]:
        raise Conflict(f"order {order.number} is {order.state}, it cannot become {state}", "vpnctl order list")
    now = app.clock()
    ask_at = values.pop("ask_at", None)
    changed = {"state": state, "changed_at": now, "ask_at": ask_at, "tries": 0, **values}
    if not tx.update(Order, _table.id == order.id, _table.state == order.state, **changed):
        raise Busy(f"order {order.number} was changed by somebody else", "try again")
    told = {"state": str(state)} | {key: values[key] for key in ("reason", "decided_by") if values.get(key)}
    events.record(tx, stamp(app), f"order.{state}", subject(order), {"state": order.state}, told)
    found = tx.one(Order, _table.id == order.id)
    return found or order


def cancel(app: App, number: int, reason: str = "") -> Order:
    """Give an order up. Money that comes for it all the same is honoured. Conflict where it is decided."""
    with app.store.write() as tx:
        found = by_number(tx, number)
        if found.state not in OPEN:
            raise Conflict(f"order {number} is {found.state}", f"vpnctl order show {number}")
        return to(
            tx, app, found, OrderState.CANCELLED, decided_by=app.actor, reason=reason or None, ask_at=found.ask_at
        )


def ask_now(tx: Tx, app: App, order: Order) -> None:
    """Have the provider asked at once what became of it."""
    tx.update(Order, _table.id == order.id, ask_at=app.clock(), tries=0)


class Barrier(StrEnum):
    """Why somebody may not pay an order now, before any money moves."""

    GONE = "gone"
    """It is not open any more, or not theirs, or something else than was told."""
    CLOSED = "closed"
    """They may not have access, or need none."""
    FULL = "full"
    """No node takes a new device, and they have none."""


@dataclass(frozen=True)
class Intent:
    """What Telegram asks about before somebody pays: which order, who (Telegram id), how much."""

    order_id: str
    payer: int
    amount: int
    currency: str


def barrier(tx: Tx, app: App, intent: Intent) -> Barrier | None:
    """Return why an order may not be paid, None where it may. Pure reading; it must answer within seconds."""
    order = tx.one(Order, _table.id == intent.order_id)
    if order is None or order.state not in OPEN or order.expires_at <= app.clock():
        return Barrier.GONE
    user = owner(tx, order)
    same = (user.telegram_id, order.amount, order.currency) == (intent.payer, intent.amount, intent.currency)
    if not same:
        return Barrier.GONE
    if user.unlimited or user.removed_at is not None or user.blocked_at is not None or user.approved_at is None:
        return Barrier.CLOSED
    return Barrier.FULL if room.full(tx) and not room.has_devices(tx, user.id) else None
