"""The business month by month: active subscriptions, what began and ended, trials, revenue, traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo

import sqlalchemy as sa

from vpnctl.rules import money
from vpnctl.rules.months import first_day, months_back, next_month
from vpnctl.rules.orders import PaymentState
from vpnctl.store import models
from vpnctl.store.engine import Tx

_sub = models.subscription.c
COLUMNS = ("month", "active", "begun", "ended", "trials", "converted", "revenue", "refunded", "traffic")


@dataclass(frozen=True)
class Month:
    """One calendar month in the operator's zone. `active` is at its end, or now; `revenue` is minor units per currency.

    A payment counts once, in the currency it was made in. `unpriced` are payments of which nobody said what they were.
    """

    month: str
    active: int
    begun: int
    ended: int
    trials: int
    converted: int
    revenue: dict[str, int]
    refunded: dict[str, int]
    """What went back in that month, whenever it came."""
    unpriced: int
    traffic: int


def months(tx: Tx, now: datetime, count: int) -> list[Month]:
    """Return the last months, this one last."""
    names = months_back(now, count)
    table = models.usage_month.c
    moved = sa.select(table.month, sa.func.sum(table.rx + table.tx)).where(table.month.in_(names)).group_by(table.month)
    traffic = {month: int(total or 0) for month, total in tx.execute(moved)}
    return [_month(tx, name, now, traffic.get(name, 0)) for name in names]


def _month(tx: Tx, name: str, now: datetime, traffic: int) -> Month:
    begins = _midnight(name, now.tzinfo)
    ends = next_month(begins)
    last = min(ends, now)
    alive = sa.or_(_sub.cancelled_at.is_(None), _sub.cancelled_at > last)
    counts = {
        "active": (_sub.starts_at <= last, _sub.ends_at > last, alive),
        "begun": (_sub.starts_at >= begins, _sub.starts_at < ends, _sub.starts_at <= now),
        "ended": (_sub.ends_at >= begins, _sub.ends_at < ends, _sub.ends_at <= now, _sub.converted_at.is_(None)),
        "trials": (_sub.source == "trial", _sub.created_at >= begins, _sub.created_at < ends),
        "converted": (_sub.converted_at >= begins, _sub.converted_at < ends),
    }
    found = {
        key: tx.execute(sa.select(sa.func.count()).select_from(models.subscription).where(*where)).scalar() or 0
        for key, where in counts.items()
    }
    columns = (_sub.prices, _sub.paid_amount, _sub.paid_currency)
    paid = sa.select(*columns).where(_sub.source == "payment", _sub.created_at >= begins, _sub.created_at < ends)
    revenue: Counter[str] = Counter()
    unpriced = 0
    for prices, amount, currency in tx.execute(paid):
        if currency is not None and amount is not None:
            revenue[currency] += amount
        elif len(prices) == 1:
            revenue.update(prices)
        else:
            unpriced += 1
    back = _refunded(tx, begins, ends)
    return Month(month=name, revenue=dict(revenue), refunded=back, unpriced=unpriced, traffic=traffic, **found)


def _refunded(tx: Tx, begins: datetime, ends: datetime) -> dict[str, int]:
    table = models.payment.c
    bought = sa.select(_sub.payment).where(_sub.payment.is_not(None))  # other money was no revenue before either
    where = (table.state == PaymentState.REFUNDED, table.changed_at >= begins, table.changed_at < ends)
    query = sa.select(table.currency, sa.func.sum(table.amount)).where(*where, table.id.in_(bought))
    query = query.group_by(table.currency)
    return {currency: int(total) for currency, total in tx.execute(query)}


def _midnight(month: str, zone: tzinfo | None) -> datetime:
    return datetime.combine(first_day(month), time(), zone)


def revenue_series(rows: Sequence[Month]) -> dict[str, list[float]]:
    """Return currency -> revenue per month less what went back, in major units, for a picture."""
    codes = sorted({code for row in rows for code in (*row.revenue, *row.refunded)})
    return {
        f"revenue, {code}": [money.major(row.revenue.get(code, 0) - row.refunded.get(code, 0), code) for row in rows]
        for code in codes
    }
