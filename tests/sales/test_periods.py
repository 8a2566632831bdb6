"""Plans that follow each other, and what was paid for them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.sales.paid import Paid
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.rules import money
from vpnctl.store.rows import Subscription

PLANS = """
plans:
  - {name: small, days: 30, devices: 2, traffic: 1000, prices: {EUR: 499, XTR: 250}}
  - {name: large, days: 30, devices: 5, traffic: 9000, prices: {EUR: 999}}
"""


def test_a_payment_is_counted_once_in_the_currency_that_it_was_made_in(service, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text(PLANS)
    service("inventory", "apply", str(plans), "--yes")
    service("user", "add", "alice", "bob")
    service("subscription", "grant", "alice", "--plan", "small", "--paid", "p1", "--currency", "XTR")
    service("subscription", "grant", "bob", "--plan", "large", "--paid", "p2")
    row = service("subscription", "stats", "--months", "1", "--json").json[0]
    assert (row["revenue"], row["unpriced"]) == ({"EUR": 999, "XTR": 250}, 0)
    shown = service("subscription", "stats", "--months", "1").out
    assert "9.99 EUR" in shown
    assert "250 XTR" in shown
    assert service("subscription", "grant", "bob", "--plan", "large", "--paid", "p3", "--currency", "USD").code == 2


@pytest.mark.parametrize(("amount", "code", "text"), [(499, "EUR", "4.99 EUR"), (250, "XTR", "250 XTR"), (1500, "KWD", "1.500 KWD"), (0, "JPY", "0 JPY")])  # fmt: skip
def test_minor_units_never_reach_a_person(amount, code, text):
    assert money.written(amount, code) == text


def test_a_bigger_plan_takes_effect_now_and_the_rest_of_the_old_one_follows(app, serve, clock):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small", paid=Paid("p1", "EUR"))
    subscriptions.extend(app, "alice", days=10)
    clock.forward(days=10)
    granted = subscriptions.grant(app, "alice", "large", paid="p2")
    assert granted.subscription.starts_at == clock()
    assert granted.kept.left == timedelta(days=20)
    with app.store.read() as tx:
        rows = sorted(tx.all(Subscription), key=lambda row: row.starts_at)
    spans = [(row.plan, (row.starts_at - clock()).days, (row.ends_at - clock()).days) for row in rows]
    assert spans == [("small", -10, 0), ("large", 0, 30), ("small", 30, 50), ("small", 50, 60)]
    assert [row.payment for row in rows] == ["p1", "p2", None, None], "nothing is paid twice"


def test_a_smaller_plan_waits_its_turn(app, serve, clock):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    first = subscriptions.grant(app, "alice", "large")
    assert subscriptions.grant(app, "alice", "small").subscription.starts_at == first.subscription.ends_at


def test_a_reused_payment_hints_at_a_command_that_exists(service, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text(PLANS)
    service("inventory", "apply", str(plans), "--yes")
    service("user", "add", "alice")
    service("subscription", "grant", "alice", "--plan", "large", "--paid", "p1")
    said = service("subscription", "grant", "alice", "--plan", "large", "--paid", "p1").err
    hint = said.split("hint: ")[1].strip()
    assert hint == "vpnctl subscription list --user alice"
    assert service(*hint.split()[1:]).code == 0


def test_whoever_pays_during_a_trial_with_something_granted_behind_it_has_no_gap(app, serve, clock):
    serve()
    text = PLANS + "  - {name: trial, days: 7, trial: true}\n"
    inventory.apply(app, *parse(text, "plans"))
    users.add(app, ["alice"])
    from vpnctl.actions.sales import trials

    trials.start(app, "alice")
    clock.forward(days=1)
    subscriptions.grant(app, "alice", "small")
    subscriptions.grant(app, "alice", "small", paid=Paid("p1", "EUR"))
    with app.store.read() as tx:
        rows = sorted(tx.all(Subscription), key=lambda row: row.starts_at)
    assert [((row.starts_at - clock()).days, (row.ends_at - clock()).days) for row in rows] == [
        (-1, 0),
        (0, 30),
        (30, 60),
    ]


def test_what_is_extended_after_an_upgrade_is_the_plan_that_runs(app, serve):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small")
    subscriptions.grant(app, "alice", "large")
    assert subscriptions.extend(app, "alice").subscription.plan == "large"
