"""How a plan can be paid, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from vpnctl.actions.sales import plans, subscriptions
from vpnctl.actions.sales.paid import Paid
from vpnctl.actions.sales.subscriptions import Granted, Sale
from vpnctl.app import App
from vpnctl.payments import PROVIDERS, offered
from vpnctl.settings import Settings
from vpnctl.store import models
from vpnctl.store.buying_rows import Order
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Plan, User

NAMES = tuple(PROVIDERS)
"""Who can take payments."""


@dataclass(frozen=True)
class Method:
    """A provider and what a plan costs there, minor units of the currency."""

    provider: str
    title: str
    amount: int
    currency: str


def of(tx: Tx, settings: Settings, plan: str) -> list[Method]:
    """Return the ways to pay a plan that is on sale."""
    terms = plans.for_sale(tx, plan)
    return [
        Method(taker.name, taker.title, amount, currency)
        for taker in offered(settings)
        for currency, amount in sorted(terms.prices.items())
        if taker.takes(currency)
    ]


def paid(tx: Tx, user: User) -> int:
    """Return how many periods somebody paid for."""
    table = models.subscription.c
    bought = sa.select(sa.func.count()).where(table.user_id == user.id, table.payment.is_not(None))
    return tx.execute(bought).scalar() or 0


def history(tx: Tx, user: User, limit: int) -> list[Order]:
    """Return what somebody ordered, the newest first."""
    table = models.order.c
    return tx.all(Order, table.user_id == user.id, order=table.number.desc(), limit=limit)


def order_of(tx: Tx, user: User, order_id: str) -> Order | None:
    """Return an order of somebody, None where it is somebody else's."""
    return tx.one(Order, models.order.c.id == order_id, models.order.c.user_id == user.id)


def foresee(tx: Tx, app: App, user: User, terms: Plan) -> Granted:
    """Return what buying a plan now would come to; nothing is changed."""
    noted, part = len(tx.journal), tx.connection.begin_nested()
    try:
        sale = Sale("subscription.buy", Paid("foreseen", amount=0), upgrade=True)
        return subscriptions.add(tx, app, user, terms, sale)
    finally:
        part.rollback()
        del tx.journal[noted:]
