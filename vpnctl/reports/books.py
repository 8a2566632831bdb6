"""Orders and payments as rows, and which of them need somebody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.rules import money
from vpnctl.rules.orders import OPEN, OrderState, PaymentState
from vpnctl.store import models
from vpnctl.store.engine import Tx

_order, _payment, _user, _proof = models.order.c, models.payment.c, models.user.c, models.proof.c
PROOFS = (_order.state == OrderState.PROOF,)
ODD = (_payment.state.in_((PaymentState.REVIEW, PaymentState.ORPHAN)),)
"""What waits for an admin: receipts, and money for which nobody got anything."""


def waiting_since(tx: Tx, now: datetime) -> list[datetime]:
    """Return since when each receipt and payment waits for an admin; an orphan, maybe another shop's, counts a week."""
    found = tx.execute(sa.select(_order.changed_at).where(*PROOFS)).scalars().all()
    ours = sa.or_(_payment.state == PaymentState.REVIEW, _payment.changed_at > now - timedelta(days=7))
    return [*found, *tx.execute(sa.select(_payment.changed_at).where(*ODD, ours)).scalars()]


def priced(shown: dict[str, Any]) -> dict[str, Any]:
    """Return fields with `price` in place of amount and currency."""
    known = {"price": money.written(shown["amount"], shown["currency"])} if shown["currency"] else {"price": None}
    return known | {name: value for name, value in shown.items() if name not in ("amount", "currency")}


@dataclass(frozen=True)
class OrderView:
    """An order in a list. `amount` is minor units of `currency`."""

    number: int
    user: str
    plan: str
    amount: int
    currency: str
    provider: str
    state: str
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    fulfilled_at: datetime | None
    decided_by: str | None
    reason: str | None
    url: str | None
    id: str

    def for_people(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the amount as people read it: `4.99 EUR`."""
        return priced(shown)


@dataclass(frozen=True)
class PaymentView:
    """A payment in a list; `order` is its order's number."""

    id: str
    order: int | None
    user: str | None
    provider: str
    external_id: str
    state: str
    amount: int
    currency: str
    note: str | None
    created_at: datetime
    changed_at: datetime
    decided_by: str | None

    def for_people(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the amount as people read it: `4.99 EUR`."""
        return priced(shown)


@dataclass(frozen=True)
class BookFilter:
    """Which of them: of this person, in these states, since then; `open_only`: orders that wait."""

    user: str | None = None
    states: tuple[str, ...] = ()
    provider: str | None = None
    since: datetime | None = None
    open_only: bool = False


EVERYTHING = BookFilter()


def orders(tx: Tx, which: BookFilter = EVERYTHING, *, limit: int = 200, number: int | None = None) -> list[OrderView]:
    """Return orders, the newest first."""
    where: list[Any] = [_order.number == number] if number is not None else []
    where += [_user.name == which.user] if which.user else []
    where += [_order.state.in_(which.states)] if which.states else []
    where += [_order.state.in_((*OPEN, OrderState.REVIEW))] if which.open_only else []
    where += [_order.provider == which.provider] if which.provider else []
    where += [_order.created_at >= which.since] if which.since else []
    names = [each for each in OrderView.__dataclass_fields__ if each != "user"]
    query = sa.select(*(_order[name] for name in names), _user.name.label("user"))
    query = query.join(models.user, _user.id == _order.user_id).where(*where).order_by(_order.number.desc())
    return [OrderView(**row._mapping) for row in tx.execute(query.limit(limit or None))]


def payments(
    tx: Tx, which: BookFilter = EVERYTHING, *, limit: int = 200, order: int | None = None
) -> list[PaymentView]:
    """Return payments, the newest first."""
    where: list[Any] = [_order.number == order] if order is not None else []
    where += [_user.name == which.user] if which.user else []
    where += [_payment.state.in_(which.states)] if which.states else []
    where += [_payment.provider == which.provider] if which.provider else []
    where += [_payment.created_at >= which.since] if which.since else []
    names = [each for each in PaymentView.__dataclass_fields__ if each not in ("user", "order")]
    query = (
        sa.select(*(_payment[name] for name in names), _order.number.label("order"), _user.name.label("user"))
        .outerjoin(models.order, _order.id == _payment.order_id)
        .outerjoin(models.user, _user.id == _order.user_id)
        .where(*where)
        .order_by(_payment.created_at.desc(), _payment.id)
    )
    return [PaymentView(**row._mapping) for row in tx.execute(query.limit(limit or None))]


def payment(tx: Tx, payment_id: str) -> PaymentView | None:
    """Return one payment."""
    return next((each for each in payments(tx, limit=0) if each.id == payment_id), None)
