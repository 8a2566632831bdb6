"""Tariffs: what can be granted and sold. They are seeded from YAML (`inventory apply`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.protocols import plugin
from vpnctl.rules import grammar, money, sizes
from vpnctl.rules.months import PERIODS
from vpnctl.store import events, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Plan
from vpnctl.texts.words import LOCALES

MAX_DAYS = 3660
_table = models.plan.c


def named(tx: Tx, name: str) -> Plan:
    """Return a plan; NotFound with the command that lists them."""
    row = tx.one(Plan, _table.name == grammar.name(name, "plan name"))
    if row is None:
        there = ", ".join(tx.execute(sa.select(_table.name).order_by(_table.name).limit(5)).scalars())
        hint = f"there are: {there}" if there else "write inventory/plans.yaml, then: vpnctl inventory apply FILE"
        raise NotFound(f"there is no plan {name!r}", hint)
    return row


def titles(tx: Tx, locale: str = "") -> dict[str, str]:
    """Return what each plan is called on the screens of a language."""
    return {each.name: each.called(locale) for each in tx.all(Plan)}


def for_sale(tx: Tx, name: str) -> Plan:
    """Return a plan that may be granted now; Conflict when it was taken off sale."""
    row = named(tx, name)
    if not row.on_sale:
        raise Conflict(f"plan {name} is not on sale any more", "vpnctl plan list")
    return row


def trial(tx: Tx) -> Plan:
    """Return the plan that trials get; NotFound when none is marked so."""
    row = tx.one(Plan, _table.trial.is_(True), _table.on_sale.is_(True))
    if row is None:
        raise NotFound(
            "no plan is a trial", "mark one in the YAML with `trial: true`, then: vpnctl inventory apply FILE"
        )
    return row


def upsert(tx: Tx, app: App, values: dict[str, Any]) -> str | None:
    """Add or change a plan; return what was done as a line, None when it was so already.

    What was bought stays as it was bought: subscriptions hold a copy.
    """
    new = checked(values)
    row = tx.one(Plan, _table.name == new["name"])
    if row is None:
        row = Plan(id=str(uuid.uuid4()), created_at=app.clock(), **new)
        tx.insert(row)
        events.record(tx, stamp(app), "plan.add", ("plan", row.id, row.name), None, new)
        return f"add plan {row.name}: {summary(row)}"
    changed = {key: value for key, value in new.items() if getattr(row, key) != value}
    if not changed:
        return None
    tx.update(Plan, _table.id == row.id, **changed)
    before = {key: getattr(row, key) for key in changed}
    events.record(tx, stamp(app), "plan.set", ("plan", row.id, row.name), before, changed)
    return f"change plan {row.name}: {', '.join(sorted(changed))}"


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return a plan's values in canonical form: name, title, days, devices, traffic (bytes), locations, prices…"""
    limits = {"days": (1, MAX_DAYS), "devices": (1, 1000)}
    for key, (low, high) in limits.items():
        if values[key] is not None and not low <= values[key] <= high:
            raise InvalidInput(f"{key} {values[key]} is out of range", f"from {low} to {high}")
    if values["traffic_period"] not in PERIODS:
        raise InvalidInput(f"'{grammar.clean(values['traffic_period'])}' is no period", f"one of: {', '.join(PERIODS)}")
    if values["protocol"] is not None:
        plugin(values["protocol"])
    return {
        **values,
        "name": grammar.name(values["name"], "plan name"),
        "title": grammar.free_text(values["title"], "title"),
        "titles": {_locale(key): grammar.free_text(text, "title") for key, text in values["titles"].items()} or None,
        "traffic": _size(values["traffic"]),
        "node_traffic": _size(values["node_traffic"]),
        "locations": [grammar.free_text(place, "location") for place in values["locations"]],
        "prices": {money.currency(code): _price(amount) for code, amount in sorted(values["prices"].items())},
    }


def _locale(given: str) -> str:
    if given not in LOCALES:
        raise InvalidInput(f"'{grammar.clean(given)}' is no language of the bot", f"one of: {', '.join(LOCALES)}")
    return given


def _size(given: int | str | None) -> int | None:
    return None if given is None else sizes.size(str(given))


def _price(amount: int) -> int:
    if not 0 <= amount <= money.MOST:
        raise InvalidInput(f"price {amount} is out of range", "whole minor units, such as 499 for 4.99")
    return amount


def set_prices(app: App, name: str, given: Sequence[str]) -> Plan:
    """Set prices, each as `EUR=4.99`; `EUR=` takes one away. Return the plan. InvalidInput for what is no amount."""
    with app.store.write() as tx:
        row = named(tx, name)
        prices = dict(row.prices)
        for each in given:
            code, sign, amount = each.partition("=")
            minor = money.minor(amount, money.currency(code)) if amount else None
            if not sign or (amount and minor is None):
                raise InvalidInput(f"'{grammar.clean(each)}' is no price", "such as EUR=4.99 or XTR=250")
            prices.pop(code, None)
            prices |= {code: _price(minor)} if minor is not None else {}
        if prices != row.prices:
            tx.update(Plan, _table.id == row.id, prices=prices)
            was, now = {"prices": row.prices}, {"prices": prices}
            events.record(tx, stamp(app), "plan.set", ("plan", row.id, row.name), was, now)
        return named(tx, name)


_EACH = {"day": "a day", "week": "a week", "month": "a month", "rolling": "in 30 days"}


def summary(plan: Plan) -> str:
    """Return a plan in a few words."""
    traffic = "no traffic limit"
    if plan.traffic is not None:
        traffic = f"{sizes.human_size(plan.traffic)} {_EACH[plan.traffic_period]}".replace(".0 ", " ")
    if plan.node_traffic is not None:
        traffic += f", {sizes.human_size(plan.node_traffic)} on each node".replace(".0 ", " ")
    devices = "any number of devices" if plan.devices is None else _some(plan.devices, "device")
    return f"{_some(plan.days, 'day')}, {devices}, {traffic}"


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
