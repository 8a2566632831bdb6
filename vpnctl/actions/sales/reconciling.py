"""Our books against each provider's own list: money without access, and access without money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl import errors
from vpnctl.actions.fleet import clock
from vpnctl.actions.sales import booking, checkout
from vpnctl.actions.sales.checkout import Round
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.payments import offered, provider
from vpnctl.payments.interface import MoneyStatus, Provider, Word
from vpnctl.reports.books import priced
from vpnctl.rules.grammar import clean
from vpnctl.rules.orders import PaymentState
from vpnctl.store import models, outbox
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User

_payment, _order = models.payment.c, models.order.c
SLACK = timedelta(hours=26)
"""An order may be paid a day after it was made, and lists go by either time."""
EACH, SOON, BACK = timedelta(hours=20), timedelta(hours=1), timedelta(days=3)
"""How often the books are compared without being asked, when again after a trouble, and how far back."""
_LAST = "books_compared"
"""In meta: when that was."""
UNKNOWN_THERE, OTHER_AMOUNT = "access, without a payment there", "another amount"
_ODD = (UNKNOWN_THERE, OTHER_AMOUNT)
"""What comparing alone cannot put right: admins hear of it."""


@dataclass(frozen=True)
class Difference:
    """One payment that one side has and the other has not, or not so."""

    provider: str
    what: str
    order: int | None
    user: str | None
    amount: int | None
    currency: str | None
    external_id: str

    def for_people(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the amount as people read it: `4.99 EUR`."""
        return priced(shown)


@dataclass
class Compared:
    """What was found, who was asked, who was not and why, and the nodes that have to hear of access."""

    rows: list[Difference] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What could not be compared or booked, a line each."""
    node_ids: list[str] = field(default_factory=list)


def work(app: App) -> Round:
    """Compare the books once a day. What is missing here is booked; of what is missing there, the admins hear."""
    done, now = Round(), app.clock()
    with app.store.read() as tx:
        last = tx.meta(_LAST)
    if (last and timedelta() <= now - now.fromisoformat(last) < EACH) or clock.doubtful(app):
        return done
    found = reconcile(app, [], BACK, dry_run=False, ours=True)
    done.node_ids.update(found.node_ids)
    done.troubles += found.failed
    done.counts["found by comparing"] += sum(each.what not in _ODD for each in found.rows)
    odd = Counter(each.provider for each in found.rows if each.what in _ODD)
    with app.store.write() as tx:
        tx.set_meta(_LAST, (now - EACH + SOON if found.failed else now).isoformat())
        for name, count in odd.items():
            details = {"provider": name, "count": count}
            outbox.enqueue(tx, alerts.admins(app, "books_differ", name, f"{now:%Y-%m-%d}", details), now)
    return done


def reconcile(app: App, names: Sequence[str], back: timedelta, *, dry_run: bool, ours: bool = False) -> Compared:
    """Compare the last while with the lists of these providers, or of all; book what is missing unless `dry_run`.

    `ours`: leave out what names no order of ours; another shop may have the same account.

    A provider that does not answer is named, and nothing is concluded from it.
    """
    found = Compared()
    for taker in [provider(name, app.settings) for name in names] if names else offered(app.settings):
        if not taker.ready or not taker.supports.listing:
            found.unasked.append(f"{taker.title} {'keeps no list' if taker.ready else 'is not set up'}")
            continue
        try:
            words = taker.listed(app.clock() - back, app.exchange)
            words = _ours(app, taker, words) if ours else words
            _compare(app, taker, words, back, found, dry_run=dry_run)
            found.asked.append(taker.title)
        except Exception as error:  # noqa: BLE001 - one provider must not keep the others from being compared
            found.failed.append(errors.told(error))
    return found


def _ours(app: App, taker: Provider, words: Sequence[Word]) -> list[Word]:
    with app.store.read() as tx:
        known = set(tx.execute(sa.select(_payment.external_id).where(_payment.provider == taker.name)).scalars())
        return [
            each for each in words if each.external_id in known or booking.order_of(tx, taker.name, each) is not None
        ]


def _compare(
    app: App, taker: Provider, words: Sequence[Word], back: timedelta, found: Compared, *, dry_run: bool
) -> None:
    with app.store.read() as tx:
        known = {each.external_id: each for each in tx.all(Payment, _payment.provider == taker.name)}
        strange = [(each, _what(each, known.get(each.external_id))) for each in words]
        rows = [_row(tx, taker.name, word, what) for word, what in strange if what]
        missing = _unlisted(tx, app, taker, words, known, back)
    found.rows += rows + missing
    if dry_run:
        return
    for word, what in strange:
        if what:
            try:
                found.node_ids += _book(app, taker, word)
            except Exception as error:  # noqa: BLE001 - the others are booked all the same
                found.failed.append(f"{taker.title}: {clean(word.external_id, 60)}: {errors.told(error)}")


def _book(app: App, taker: Provider, word: Word) -> Sequence[str]:
    """Book what a list has. A list that does not say enough only names what is then asked about."""
    if not word.order_id and word.checkout_id:
        with app.store.read() as tx:
            order = booking.order_of(tx, taker.name, word)
        if order is not None:
            with app.store.read() as tx:
                told = checkout.bill(app, tx, order)
            return booking.book(app, taker.name, taker.look(told, app.exchange)).node_ids
    return booking.book(app, taker.name, word).node_ids


def _what(word: Word, known: Payment | None) -> str:
    """Return how a payment of the list differs from ours; empty where it does not."""
    if word.status is MoneyStatus.REFUNDED:
        return "given back there" if known is not None and known.state != PaymentState.REFUNDED else ""
    if known is None or known.state == PaymentState.FAILED:
        return "paid, without access"
    return OTHER_AMOUNT if word.amount is not None and word.amount != known.amount else ""


def _row(tx: Tx, name: str, word: Word, what: str) -> Difference:
    number, user = _whose(tx, booking.order_of(tx, name, word))
    return Difference(name, what, number, user, word.amount, word.currency, word.external_id)


def _whose(tx: Tx, order: Order | None) -> tuple[int | None, str | None]:
    if order is None:
        return None, None
    user = tx.one(User, models.user.c.id == order.user_id)
    return order.number, user.name if user else None


def _unlisted(
    tx: Tx, app: App, taker: Provider, words: Sequence[Word], known: dict[str, Payment], back: timedelta
) -> list[Difference]:
    """Return what we booked and the list does not have. Zarinpal lists only what was never verified."""
    if taker.name == "zarinpal":
        return []
    listed, since = {each.external_id for each in words}, app.clock() - back + SLACK
    rows = []
    for each in known.values():
        if each.state == PaymentState.BOOKED and each.created_at >= since and each.external_id not in listed:
            number, user = _whose(tx, tx.one(Order, _order.id == each.order_id) if each.order_id else None)
            rows.append(
                Difference(
                    taker.name,
                    UNKNOWN_THERE,
                    number,
                    user,
                    each.amount,
                    each.currency,
                    each.external_id,
                )
            )
    return rows
