"""A storm of deliveries about many orders: some repeated, some killed at a random statement, all out of order."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from tests.support.till import Till
from vpnctl.actions.people import users
from vpnctl.actions.sales import callbacks, checkout, orders
from vpnctl.app import App
from vpnctl.rules.exchange import HttpAnswer, HttpCall
from vpnctl.store import find, models
from vpnctl.store.buying_rows import Order, Payment

KINDS = 4
"""Deliveries of each order, before some are repeated."""
PAID, REPEATED, KILLED = 0.9, 0.2, 0.15
"""Which part of the orders is paid, of the deliveries comes twice, and is to die at one of its first 40 statements.

About a third of these have as many: one delivery in twenty dies."""


class Killed(BaseException):
    """The process was killed here."""


@dataclass(frozen=True)
class Books:
    """What came of it: `paid` as the provider has it, `booked` and `bought` as we have it; seconds of the deliveries."""

    deliveries: int
    killed: int
    paid: list[str]
    booked: list[str]
    states: set[str]
    bought: int
    seconds: float


def yookassa(order: Order, kind: str = "payment.succeeded") -> bytes:
    """The body of a callback about an order."""
    return json.dumps({"type": "notification", "event": kind, "object": {"id": order.external_id}}).encode()


def directly(till: Till, call: HttpCall) -> HttpAnswer:
    """The till without a network between."""
    headers = {name.lower(): value for name, value in call.headers.items()}
    status, said = till.answer(call.method, urlsplit(call.url).path, {}, headers, call.body or b"")
    return HttpAnswer(status, json.dumps(said).encode())


def storm(app: App, till: Till, people: int) -> Books:
    """Let it come over a shop that sells `month` by YooKassa, and everything be worked off."""
    app = replace(app, exchange=lambda call: directly(till, call))
    chance = random.Random(12)
    known = _ordered(app, people)
    paid = [each for each in known if chance.random() < PAID]
    for each in paid:
        till.pay(each.id)
    deliveries = [(each, f"kind.{number}") for each in known for number in range(KINDS)]
    deliveries += chance.sample(deliveries, round(len(deliveries) * REPEATED))
    chance.shuffle(deliveries)
    began = time.perf_counter()
    killed = sum(_deliver(app, yookassa(order, kind), chance) for order, kind in deliveries)
    while callbacks.work(app).counts:
        pass
    seconds = time.perf_counter() - began
    with app.store.read() as tx:
        payments = tx.all(Payment)
        bought = len(tx.execute(models.subscription.select()).all())
    booked, states = sorted(each.external_id for each in payments), {each.state for each in payments}
    return Books(
        len(deliveries), killed, sorted(str(each.external_id) for each in paid), booked, states, bought, seconds
    )


def _ordered(app: App, people: int) -> list[Order]:
    names = [f"u{number}" for number in range(people)]
    users.add(app, names)
    for name in names:
        with app.store.read() as tx:
            row = find.user(tx, name)
        orders.place(app, row, "month", "RUB", "yookassa")
    while checkout.work(app).counts["opened"]:
        pass
    with app.store.read() as tx:
        return tx.all(Order, order=models.order.c.number)


def _deliver(app: App, body: bytes, chance: random.Random) -> int:
    """Deliver until it is said that it was kept, as providers do; return how often it was killed in the middle."""
    killed = 0
    while True:
        left = chance.randint(1, 40) if chance.random() < KILLED else 0
        try:
            with dying(app, left):
                callbacks.receive(app, "yookassa", {}, body)
                callbacks.work(app)
            return killed
        except Killed:
            killed += 1


class dying:  # noqa: N801 - reads as what it does
    """The block dies before its `statement`-th statement; 0: it lives."""

    def __init__(self, app: App, statement: int) -> None:
        self._engine, self._left, self._said = app.store.engine, statement, 0

    def __enter__(self) -> None:
        if self._left:
            sa.event.listen(self._engine, "before_cursor_execute", self._count)

    def __exit__(self, *_error: Any) -> None:
        if self._left:
            sa.event.remove(self._engine, "before_cursor_execute", self._count)

    def _count(self, *_args: Any) -> None:
        self._said += 1
        if self._said == self._left:
            raise Killed
