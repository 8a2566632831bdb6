"""The states of orders and payments, which may follow which, and what an amount that came means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class OrderState(StrEnum):
    """A purchase. `paid`: money came and access was given, in one transaction; `fulfilled`: every node agrees."""

    DRAFT = "draft"
    """The provider was not asked yet."""
    AWAITING = "awaiting"
    PROOF = "proof"
    """A receipt was sent; an admin decides."""
    PAID = "paid"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUSED = "refused"
    REVIEW = "review"
    """Money came that does not fit; an admin decides."""
    REFUNDING = "refunding"
    REFUNDED = "refunded"


_S = OrderState
EDGES: dict[OrderState, frozenset[OrderState]] = {
    _S.DRAFT: frozenset({_S.AWAITING, _S.PAID, _S.REVIEW, _S.CANCELLED, _S.EXPIRED}),
    _S.AWAITING: frozenset({_S.PROOF, _S.PAID, _S.REVIEW, _S.CANCELLED, _S.EXPIRED}),
    _S.PROOF: frozenset({_S.PAID, _S.REFUSED, _S.CANCELLED, _S.REVIEW}),
    _S.PAID: frozenset({_S.FULFILLED, _S.REFUNDING, _S.REFUNDED}),
    _S.FULFILLED: frozenset({_S.REFUNDING, _S.REFUNDED}),
    # Money that comes late is honoured, whatever became of the order meanwhile.
    _S.CANCELLED: frozenset({_S.PROOF, _S.PAID, _S.REVIEW}),
    _S.EXPIRED: frozenset({_S.PROOF, _S.PAID, _S.REVIEW}),
    _S.REFUSED: frozenset({_S.PROOF, _S.PAID, _S.REVIEW}),
    _S.REVIEW: frozenset({_S.PAID, _S.REFUSED, _S.REFUNDING, _S.REFUNDED}),
    _S.REFUNDING: frozenset({_S.REFUNDED, _S.PAID, _S.REVIEW}),
    _S.REFUNDED: frozenset(),
}
"""From each state, where it may go."""
OPEN = (_S.DRAFT, _S.AWAITING, _S.PROOF)
"""States in which an order waits for money or a word."""
SERVED = (_S.PAID, _S.FULFILLED)


class PaymentState(StrEnum):
    """Money. `failed` is an attempt that brought none."""

    BOOKED = "booked"
    REVIEW = "review"
    ORPHAN = "orphan"
    """It names no order of ours."""
    FAILED = "failed"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


class Fit(StrEnum):
    """What an amount that came is to the price."""

    EXACT = "exact"
    OVER = "over"
    SHORT = "short"
    OTHER_CURRENCY = "other currency"


def fit(price: tuple[int, str], came: tuple[int, str]) -> Fit:
    """Compare (minor units, currency) of a price and of money that came."""
    if came[1] != price[1]:
        return Fit.OTHER_CURRENCY
    return Fit.EXACT if came[0] == price[0] else Fit.OVER if came[0] > price[0] else Fit.SHORT


SOONEST, LATEST = timedelta(seconds=10), timedelta(hours=6)
LATE = timedelta(days=7)
"""How long after its end a provider is still asked about an order: money may come late."""


def ask_again(created_at: datetime, expires_at: datetime, now: datetime) -> datetime | None:
    """Return when a provider is asked next about an order: the older it is, the less often; None: never again."""
    if now > expires_at + LATE:
        return None
    return now + min(max((now - created_at) / 4, SOONEST), LATEST)


def try_again(tries: int, now: datetime) -> datetime:
    """Return when a provider that did not answer is asked again: after 5 s, then twice as long, an hour at most."""
    return now + min(timedelta(seconds=5 * 2 ** min(tries, 10)), timedelta(hours=1))


@dataclass(frozen=True)
class Charge:
    """Money that Telegram says came, or went `back`: minor units, the order's id, the name that it is known by."""

    amount: int
    currency: str
    order_id: str
    name: str
    back: bool
