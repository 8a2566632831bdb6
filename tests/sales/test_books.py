"""Our books against the providers' lists, and the commands that show and change them."""

from __future__ import annotations

import pytest

from tests.sales.conftest import CURRENCY
from vpnctl.actions.sales import booking, reconciling
from vpnctl.payments.interface import MoneyStatus, Word
from vpnctl.rules.orders import OrderState

LISTING = ("yookassa", "cryptomus", "stripe", "zarinpal")


def reconcile(desk, *, dry_run=False, days=7):
    from datetime import timedelta

    return reconciling.reconcile(desk.app, LISTING, timedelta(days=days), dry_run=dry_run)


@pytest.mark.parametrize("provider", LISTING)
def test_money_that_nobody_told_us_of_is_found_in_the_list_and_served(desk, provider, clock):
    order = desk.place(provider)
    desk.till.pay(order.id)
    told = reconcile(desk, dry_run=True)
    assert [(each.what, each.order, each.user) for each in told.rows] == [("paid, without access", order.number, "ann")]
    assert desk.periods() == [], "a dry run books nothing"
    reconcile(desk)
    assert len(desk.periods()) == 1
    assert reconcile(desk).rows == []


def test_access_for_which_the_provider_has_no_payment_is_named(desk):
    order = desk.place("yookassa")
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "invented", "", order.id, order.amount, "RUB"))
    assert [(each.what, each.order) for each in reconcile(desk).rows] == [("access, without a payment there", 1)]


def test_what_was_given_back_there_is_found(desk):
    order = desk.place("cryptomus")
    desk.till.pay(order.id)
    desk.ask(order)
    desk.till.of(order.id).refunded = True
    assert [each.what for each in reconcile(desk).rows] == ["given back there"]
    assert (desk.order(order).state, desk.periods()) == (OrderState.REFUNDED, [])


def test_nothing_is_concluded_from_a_provider_that_does_not_answer(desk):
    order = desk.place("yookassa")
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "", order.id, order.amount, "RUB"))
    desk.till.mood = "down"
    found = reconcile(desk)
    assert (found.rows, len(found.unasked)) == ([], len(LISTING))


def test_more_than_one_page_of_a_list_is_read(desk):
    orders = []
    for number in range(5):
        sold = desk.till.make("yookassa", f"order-{number}", "1.00", "RUB", f"once-{number}")
        sold.state = "paid"
        orders.append(sold)
    assert len(reconcile(desk, dry_run=True).rows) == 5


def test_what_waits_for_an_admin_stands_in_status_and_in_the_figures(desk):
    from vpnctl.reports import figures, status

    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 100, "RUB"))
    with desk.app.store.read() as tx:
        (line,) = [each for each in status.page(tx, desk.app.clock()).attention if "payments" in each.what]
        text = figures.exposition(tx, desk.app.clock(), ()).decode()
    assert line.what == "payments that bought nothing: 1"
    assert 'vpnctl_payments{provider="yookassa",state="orphan"} 1.0' in text


def test_every_currency_of_the_till_is_one_that_its_provider_takes(desk):
    from vpnctl.payments import provider

    assert all(provider(name, desk.app.settings).takes(code) for name, code in CURRENCY.items())
