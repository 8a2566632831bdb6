"""Access by time: grant, extend, cancel. Each granted period is a row with a copy of its plan."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.sales import paid as paying
from vpnctl.actions.sales import plans
from vpnctl.actions.sales.paid import Paid
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.rules import grammar
from vpnctl.rules.access import why_not_person
from vpnctl.rules.lifecycle import Span, next_start
from vpnctl.store import events, find, models, periods
from vpnctl.store.engine import Tx
from vpnctl.store.people import person
from vpnctl.store.queue import expect_change, fence, homes
from vpnctl.store.rows import Plan, Subscription, User

_table = models.subscription.c
TRIAL, PAYMENT, GRANT = "trial", "payment", "grant"


@dataclass(frozen=True)
class Kept:
    """What was left of a plan when a bigger one took its place: it follows behind."""

    plan: str
    left: timedelta

    @property
    def days(self) -> int:
        """About how many days."""
        return max(1, round(self.left / timedelta(days=1)))

    @property
    def days_left(self) -> str:
        """In words."""
        return f"{self.days} day" if self.days == 1 else f"{self.days} days"


@dataclass(frozen=True)
class Granted:
    """A period that was granted, whose it is, and the nodes that it concerns."""

    subscription: Subscription
    user: User
    node_ids: list[str]
    was_unlimited: bool = False
    kept: Kept | None = None


@dataclass(frozen=True)
class Cancelled:
    """Whose access was ended, and how many periods."""

    user: User
    periods: int


def span(row: Subscription) -> Span:
    """Return what the states look at."""
    return Span(row.starts_at, row.ends_at, row.cancelled_at, row.converted_at)


def grant(app: App, name: str, plan: str, *, paid: Paid | str | None = None, queue: bool = False) -> Granted:
    """Grant a plan's days, from now or behind what the user has already.

    A bigger plan than the one that runs takes effect now, unless it is to `queue`; what is left of that one follows
    behind it. `paid` converts a running trial, which ends it now. Access of somebody who was unlimited is by
    subscription from now on.
    """
    with app.store.write() as tx:
        terms = plans.for_sale(tx, plan)
        return add(
            tx, app, find.user(tx, name), terms, Sale("subscription.grant", paying.named(paid), upgrade=not queue)
        )


GRACE = "after-restore"
"""What the period is called that a restored backup gives to who may have renewed since; no plan that is sold."""


def extend(
    app: App, name: str, *, plan: str | None = None, days: int | None = None, paid: Paid | str | None = None
) -> Granted:
    """Add a further period behind the last one: of `plan`, or of the one that runs (or ran last) as it is sold today.

    `days` gives another length, on the terms of that period. Conflict when there is nothing to extend, or when
    a further period follows already and the setting `extend_once` is on.
    """
    with app.store.write() as tx:
        user = find.user(tx, name)
        rows = [row for row in periods.of(tx, user) if row.cancelled_at is None]
        if not rows:
            raise Conflict(f"{name} has no subscription", f"vpnctl subscription grant {name} --plan PLAN")
        bought = [row for row in rows if row.plan != GRACE] or rows
        last = max(bought, key=lambda row: row.ends_at)
        if app.settings.extend_once and any(row.starts_at > app.clock() for row in rows):
            raise Conflict(
                f"{name}'s subscription is extended already, to {last.ends_at:%Y-%m-%d}", "extend_once is on"
            )
        terms = _terms(tx, periods.covering(bought, app.clock()) or last, plan, days)
        return add(tx, app, user, terms, Sale("subscription.extend", paying.named(paid)))


def _terms(tx: Tx, last: Subscription, plan: str | None, days: int | None) -> Plan:
    if days is None:
        return plans.for_sale(tx, plan or last.plan)
    if not 1 <= days <= plans.MAX_DAYS:
        raise InvalidInput(f"{days} days are out of range", f"1 to {plans.MAX_DAYS}")
    if plan is not None:
        return replace(plans.for_sale(tx, plan), days=days)
    copied = ("devices", "traffic", "traffic_period", "node_traffic", "locations", "protocol", "prices", "created_at")
    same: dict[str, Any] = {key: getattr(last, key) for key in copied}
    return Plan(id="", name=last.plan, title="", days=days, trial=False, on_sale=True, **same)


@dataclass(frozen=True)
class Sale:
    """How a period comes about: the verb of its event, what was paid, whether it is a trial.

    With `upgrade`, a bigger plan than the running one begins now; with `at_once`, any, beside what runs.
    """

    verb: str
    paid: Paid | None = None
    trial: bool = False
    upgrade: bool = False
    at_once: bool = False


def add(tx: Tx, app: App, user: User, terms: Plan, sale: Sale) -> Granted:
    """Add a period inside a transaction."""
    paid, now = sale.paid, app.clock()
    before = why_not_person(person(tx, user, now), now)
    rows = periods.of(tx, user)
    price = paying.price(terms, paid) if paid else (None, None)
    if paid is not None:
        paying.refuse_known(tx, grammar.reference(paid.reference))
        converted = [_convert(tx, app, user, row) for row in rows]
        gained = (old.ends_at - new.ends_at for old, new in zip(rows, converted, strict=True))
        rows = closed_up(tx, converted, sum(gained, timedelta(0)), now)
    kept = _make_way(tx, app, user, rows, terms) if sale.upgrade else None
    begins = now if kept or sale.at_once else next_start([span(each) for each in rows], now)
    row = _period(app, user, terms, sale, price, begins)
    tx.insert(row)
    if user.unlimited:
        tx.update(User, models.user.c.id == user.id, unlimited=False)
    ended = max((each.ends_at for each in rows if each.cancelled_at is None), default=None)
    was: dict[str, Any] = {"unlimited": True} if user.unlimited else {"ends_at": _text(ended) if ended else None}
    events.record(tx, stamp(app), sale.verb, ("subscription", row.id, user.name), was, _told(row))
    flip(tx, app, user, before)
    return Granted(row, user, homes(tx, user.id), user.unlimited, kept)


def _period(
    app: App, user: User, terms: Plan, sale: Sale, price: tuple[int | None, str | None], starts: datetime
) -> Subscription:
    """Return the row of a new period, with a copy of the plan as it is now."""
    return Subscription(
        id=str(uuid.uuid4()),
        user_id=user.id,
        plan=terms.name,
        days=terms.days,
        devices=terms.devices,
        traffic=terms.traffic,
        traffic_period=terms.traffic_period,
        node_traffic=terms.node_traffic,
        locations=terms.locations,
        protocol=terms.protocol,
        prices=terms.prices,
        source=TRIAL if sale.trial else PAYMENT if sale.paid else GRANT,
        payment=sale.paid.reference if sale.paid else None,
        starts_at=starts,
        ends_at=starts + timedelta(days=terms.days),
        created_at=app.clock(),
        paid_amount=price[0],
        paid_currency=price[1],
    )


def _told(row: Subscription) -> dict[str, Any]:
    """Return what the event says of a new period."""
    told: dict[str, Any] = {name: getattr(row, name) for name in ("plan", "source")}
    told |= {name: _text(getattr(row, name)) for name in ("starts_at", "ends_at")}
    paid = {"payment": row.payment, "amount": row.paid_amount, "currency": row.paid_currency}
    return told | (paid if row.payment else {})


def bigger(terms: Plan, than: Subscription) -> bool:
    """Return whether a plan gives more than a running one: more traffic or devices, and less of neither.

    Traffic of different periods is not compared: such a plan is not a bigger one.
    """
    if terms.traffic_period != than.traffic_period and (terms.traffic, than.traffic) != (None, None):
        return False

    def rank(number: int | None) -> float:
        return float("inf") if number is None else number

    more = (rank(terms.traffic) - rank(than.traffic) if terms.traffic != than.traffic else 0,
            rank(terms.devices) - rank(than.devices) if terms.devices != than.devices else 0)  # fmt: skip
    narrower = bool(terms.locations) and not set(than.locations or ["anywhere"]) <= set(terms.locations)
    return min(more) >= 0 and max(more) > 0 and not narrower


def _make_way(tx: Tx, app: App, user: User, rows: list[Subscription], terms: Plan) -> Kept | None:
    """End the running period now if the new plan is a bigger one; its rest, and what follows, moves behind the new."""
    now = app.clock()
    running = periods.covering(rows, now)
    if running is None or running.source == TRIAL or not bigger(terms, running):
        return None
    left, days = running.ends_at - now, timedelta(days=terms.days)
    for row in rows:
        if row.cancelled_at is None and row.starts_at > now:
            moved = {"starts_at": row.starts_at + days, "ends_at": row.ends_at + days}
            tx.update(Subscription, _table.id == row.id, **moved)
    tx.update(Subscription, _table.id == running.id, ends_at=now, noted=2)
    rest = replace(
        running,
        id=str(uuid.uuid4()),
        days=max(1, -(-left // timedelta(days=1))),
        source=GRANT,
        payment=None,
        paid_amount=None,
        paid_currency=None,
        starts_at=now + days,
        ends_at=now + days + left,
        noted=0,
        created_at=now,
    )
    tx.insert(rest)
    was, after = {"ends_at": _text(running.ends_at)}, {"ends_at": _text(now), "rest_until": _text(rest.ends_at)}
    events.record(tx, stamp(app), "subscription.upgrade", ("subscription", running.id, user.name), was, after)
    return Kept(running.plan, left)


def closed_up(tx: Tx, rows: list[Subscription], gap: timedelta, now: datetime) -> list[Subscription]:
    """Bring forward what waits behind a trial that ended early, or the person would have nothing in between."""
    if not gap:
        return rows
    moved = []
    for row in rows:
        if row.cancelled_at is None and row.starts_at > now:
            new = replace(row, starts_at=row.starts_at - gap, ends_at=row.ends_at - gap)
            tx.update(Subscription, _table.id == row.id, starts_at=new.starts_at, ends_at=new.ends_at)
            moved.append(new)
        else:
            moved.append(row)
    return moved


def _convert(tx: Tx, app: App, user: User, row: Subscription) -> Subscription:
    """A trial that still runs ends now: what was bought begins at once."""
    now = app.clock()
    if row.source != TRIAL or row.cancelled_at is not None or row.ends_at <= now:
        return row
    tx.update(Subscription, _table.id == row.id, ends_at=now, converted_at=now)
    was = {"ends_at": _text(row.ends_at)}
    events.record(tx, stamp(app), "trial.convert", ("subscription", row.id, user.name), was, {"ends_at": _text(now)})
    return replace(row, ends_at=now, converted_at=now)


def cancel(app: App, name: str) -> Done[Cancelled]:
    """End access now, and with it all periods to come."""
    with app.store.write() as tx:
        user, now = find.user(tx, name), app.clock()
        before = why_not_person(person(tx, user, now), now)
        live = [row for row in periods.of(tx, user) if row.cancelled_at is None and row.ends_at > now]
        if not live:
            raise NotFound(
                f"{name} has no subscription that could be cancelled", f"vpnctl subscription list --user {name}"
            )
        for row in live:
            tx.update(Subscription, _table.id == row.id, cancelled_at=now, noted=2)
            was = {"ends_at": _text(row.ends_at)}
            events.record(tx, stamp(app), "subscription.cancel", ("subscription", row.id, user.name), was)
        flip(tx, app, user, before)
        return Done(Cancelled(user, len(live)), homes(tx, user.id))


def flip(tx: Tx, app: App, user: User, before: object) -> None:
    """Let nodes hear of a change of periods. Where it changed whether they may connect, devices must be proven anew."""
    now = app.clock()
    after = why_not_person(person(tx, find.user(tx, user.name), now), now)
    if (before is None) != (after is None):
        expect_change(tx, now, models.peer.c.user_id == user.id)
    else:
        fence(tx, now, models.peer.c.user_id == user.id, models.peer.c.revoked_at.is_(None))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
