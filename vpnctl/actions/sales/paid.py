"""What was paid for a period: the reference and the currency, as the operator names them."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.errors import Conflict, InvalidInput
from vpnctl.rules import grammar, money
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Plan, Subscription, User


@dataclass(frozen=True)
class Paid:
    """A payment: its reference, and the currency where somebody said it."""

    reference: str
    currency: str | None = None
    amount: int | None = None
    """What came, minor units, where it is known; else it is the plan's price."""


def payment(reference: str | None, currency: str | None) -> Paid | None:
    """Return what was paid, as typed; InvalidInput for a currency without a payment."""
    if reference is None:
        if currency is not None:
            raise InvalidInput("a currency belongs to a payment", "--paid REF --currency CODE")
        return None
    return Paid(grammar.reference(reference), money.currency(currency) if currency is not None else None)


def named(paid: Paid | str | None) -> Paid | None:
    """Return a payment that may be named by its reference alone."""
    return Paid(paid) if isinstance(paid, str) else paid


def price(terms: Plan, paid: Paid) -> tuple[int | None, str | None]:
    """Return (amount, currency) of a payment for a plan; (None, None) for a plan without prices."""
    if paid.amount is not None:
        return paid.amount, paid.currency
    codes = ", ".join(sorted(terms.prices))
    if paid.currency is not None and paid.currency not in terms.prices:
        raise InvalidInput(f"plan {terms.name} has no price in {paid.currency}", f"it has: {codes or 'none'}")
    if paid.currency is None and len(terms.prices) > 1:
        raise InvalidInput(
            f"in which currency was {terms.name} paid? It has several prices", f"give --currency: {codes}"
        )
    code = paid.currency or next(iter(terms.prices), None)
    return (terms.prices[code], code) if code is not None else (None, None)


def refuse_known(tx: Tx, reference: str) -> None:
    """Raise Conflict when a period was paid by that payment already."""
    there = tx.one(Subscription, models.subscription.c.payment == reference)
    if there is not None:
        owner = tx.one(User, models.user.c.id == there.user_id)
        whose = f" --user {owner.name}" if owner and owner.removed_at is None else ""
        raise Conflict(f"payment {reference} was used already", f"vpnctl subscription list{whose}")
