"""The business month by month."""

from __future__ import annotations

from datetime import UTC, datetime

from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions, trials
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.cli import charts
from vpnctl.reports import business

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, days: 30, prices: {EUR: 499}}
"""


def shop(app):
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["ann", "bob", "cyd"])


def test_months_tell_active_begun_ended_trials_and_revenue(app, clock):
    clock.now = datetime(2027, 1, 10, tzinfo=UTC)
    shop(app)
    trials.start(app, "ann")
    subscriptions.grant(app, "bob", "month", paid="p1")
    clock.now = datetime(2027, 1, 11, tzinfo=UTC)
    subscriptions.grant(app, "ann", "month", paid="p2")
    clock.now = datetime(2027, 2, 20, tzinfo=UTC)
    with app.store.read() as tx:
        january, february = business.months(tx, clock(), 2)
    assert (january.month, january.active, january.begun, january.trials, january.converted) == ("2027-01", 2, 3, 1, 1)
    assert january.revenue == {"EUR": 998}
    assert (february.active, february.begun, february.ended, february.revenue) == (0, 0, 2, {})


def test_the_business_is_drawn(service, tmp_path):
    from PIL import Image

    path = tmp_path / "stats.png"
    assert service("subscription", "stats", "--months", "3", "--png", str(path)).code == 0
    assert Image.open(path).size == (900, 480)
    assert [row["month"] for row in service("subscription", "stats", "--months", "2", "--json").json] == [
        "2026-12",
        "2027-01",
    ]


def test_bars_show_anything_above_zero_and_never_more_than_their_width():
    assert charts.bar(0, 10) == ""
    assert charts.bar(1, 10**9) == "▏"
    assert len(charts.bar(10, 10)) == charts.BAR
