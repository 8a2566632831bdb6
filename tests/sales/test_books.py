"""Our books against the providers' lists, and the commands that show and change them."""

from __future__ import annotations

import json
from datetime import UTC, timedelta

import pytest

from tests.sales.conftest import CURRENCY
from vpnctl.actions.fleet import clock as clocks
from vpnctl.actions.people import users
from vpnctl.actions.sales import booking, deciding, reconciling, refunds, reminders
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.payments import provider
from vpnctl.payments.interface import MoneyStatus, ProviderSilent, Word
from vpnctl.reports import business
from vpnctl.rules.exchange import HttpAnswer
from vpnctl.rules.orders import OrderState, PaymentState
from vpnctl.store import models
from vpnctl.texts import wording

LISTING = ("yookassa", "cryptomus", "stripe", "zarinpal")


def reconcile(desk, *, dry_run=False, days=7):
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
    assert (found.rows, len(found.failed)) == ([], len(LISTING))


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
    assert all(provider(name, desk.app.settings).takes(code) for name, code in CURRENCY.items())


def test_the_books_are_compared_once_a_day_without_being_asked(desk, clock):
    reconciling.work(desk.app)
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    clock.forward(hours=2)
    assert reconciling.work(desk.app).counts["found by comparing"] == 0, "not twice a day"
    clock.forward(hours=20)
    assert reconciling.work(desk.app).counts["found by comparing"] == 1
    assert len(desk.periods()) == 1


def test_admins_hear_of_what_was_booked_and_is_in_no_list_once_a_day(desk, clock):
    order = desk.place("yookassa")
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "invented", "", order.id, order.amount, "RUB"))
    for _ in range(3):
        reconciling.work(desk.app)
        clock.forward(hours=21)
    assert [each.details["count"] for each in desk.told("books_differ")] == [1, 1, 1]


def test_a_payment_that_names_no_order_is_given_to_one_by_an_admin(desk):
    order = desk.place("yookassa")
    booked = booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 39900, "RUB"))
    done = deciding.accept(desk.app, order.number, booked.payment.id[:8])
    assert (done.order.state, [each.state for each in desk.payments()]) == (OrderState.PAID, [PaymentState.BOOKED])
    assert len(desk.periods()) == 1
    other = desk.place("yookassa", user="bob")
    with pytest.raises(Conflict, match="is booked"):
        deciding.accept(desk.app, other.number, booked.payment.id[:8])


def test_admins_hear_once_a_day_of_money_that_waits_longer_than_a_day(desk, clock):
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 100, "RUB"))
    assert reminders.money(desk.app) == 0
    clock.forward(hours=25)
    assert (reminders.money(desk.app, dry_run=True), reminders.money(desk.app), reminders.money(desk.app)) == (1, 1, 0)


def test_what_went_back_is_told_apart_from_what_came(desk, clock):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    clock.forward(days=31)
    refunds.refund(desk.app, desk.payments()[0].id)
    desk.round()
    with desk.app.store.read() as tx:
        january, february = business.months(tx, clock(), 2)
    assert (january.revenue, january.refunded) == ({"RUB": 39900}, {})
    assert (february.revenue, february.refunded) == ({}, {"RUB": 39900})
    assert business.revenue_series([january, february]) == {"revenue, RUB": [399.0, -399.0]}


def test_a_payment_of_another_order_that_is_taken_ends_that_order(desk):
    first, second = desk.place("yookassa"), desk.place("yookassa", user="bob")
    booked = booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "", first.id, None, None))
    with desk.app.store.write() as tx:
        tx.execute(models.payment.update().values(amount=39900, currency="RUB"))
    assert desk.order(first).state == OrderState.REVIEW
    deciding.accept(desk.app, second.number, booked.payment.id[:8])
    assert (desk.order(first).state, desk.order(second).state) == (OrderState.REFUSED, OrderState.PAID)
    assert [each.details["number"] for each in desk.told("order_refused")] == [first.number]


def test_which_payment_is_taken_is_said_without_doubt(desk):
    order = desk.place("yookassa")
    booked = booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 39900, "RUB"))
    with pytest.raises(InvalidInput):
        deciding.accept(desk.app, order.number, booked.payment.id[:7])


def test_an_orphan_that_was_taken_for_an_order_is_ours_when_books_are_compared(desk, clock):
    sold = desk.till.make("yookassa", "lost", "399.00", "RUB", "once")
    sold.state = "paid"
    reconcile(desk)
    order = desk.place("yookassa")
    deciding.accept(desk.app, order.number, desk.payments()[0].id[:8])
    reconciling.work(desk.app)
    assert desk.told("books_differ") == []
    sold.refunded = True
    clock.forward(hours=21)
    reconciling.work(desk.app)
    assert [each.state for each in desk.payments()] == [PaymentState.REFUNDED]


def test_another_amount_there_is_told_and_not_as_a_payment_that_is_missing(desk):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    desk.till.pay(order.id, 0.5)
    reconciling.work(desk.app)
    (told,) = {wording.text(each.kind, each.details, UTC) for each in desk.told("books_differ")}
    assert told.startswith("⚠️ What is booked here differs from the list of yookassa: 1.")


def test_money_that_bought_nothing_and_went_back_is_no_loss(desk, clock):
    booked = booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 39900, "RUB"))
    refunds.refund(desk.app, booked.payment.id, by_hand=True)
    with desk.app.store.read() as tx:
        (now,) = business.months(tx, clock(), 1)
    assert (now.revenue, now.refunded) == ({}, {})


def test_an_orphan_nags_for_a_week_and_no_longer(desk, clock):
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 100, "RUB"))
    found = []
    for _ in range(10):
        clock.forward(days=1, minutes=1)
        found.append(reminders.money(desk.app))
    assert found == [1] * 6 + [0] * 4


@pytest.mark.parametrize("name", ["cryptomus", "stripe"])
def test_lists_of_others_that_do_not_end_are_a_trouble_too(desk, name, monkeypatch):
    monkeypatch.setattr(f"vpnctl.payments.{name}.PAGES", 3)
    pages = iter(range(10**6))

    def exchange(_call):
        number = next(pages)
        if number > 500:
            pytest.fail("it hangs")
        if name == "cryptomus":
            said = {"state": 0, "result": {"items": [], "paginate": {"nextCursor": f"c{number}"}}}
        else:
            row = {"object": "checkout.session", "amount_total": 1, "currency": "eur", "payment_status": "paid"}
            rows = [row | {"id": f"cs_{number}_{each}", "status": "complete"} for each in range(100)]
            said = {"object": "list", "data": rows, "has_more": True, "url": "/v1/checkout/sessions"}
        return HttpAnswer(200, json.dumps(said).encode())

    with pytest.raises(ProviderSilent, match="does not end"):
        provider(name, desk.app.settings).listed(desk.app.clock(), exchange)


@pytest.mark.parametrize(("amount", "currency"), [(100, "RUB"), (39900, "EUR")])
def test_a_payment_that_does_not_fit_is_not_taken_for_an_order(desk, amount, currency):
    order = desk.place("yookassa")
    booked = booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", amount, currency))
    with pytest.raises(Conflict):
        deciding.accept(desk.app, order.number, booked.payment.id[:8])
    assert desk.periods() == []


@pytest.mark.parametrize("amount", [10**20, -5])
def test_a_sum_that_is_none_waits_for_a_person_and_stops_nothing(desk, amount):
    order = desk.place("yookassa")
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "", order.id, amount, "RUB"))
    assert (desk.order(order).state, desk.periods()) == (OrderState.REVIEW, [])


def test_one_provider_in_trouble_keeps_no_other_from_being_compared_and_is_tried_again_soon(desk, clock):
    order = desk.place("stripe")
    desk.till.pay(order.id)
    desk.till.moods["yookassa"] = "odd"
    done = reconciling.work(desk.app)
    assert (len(desk.periods()), len(done.troubles)) == (1, 1)
    other = desk.place("yookassa", user="bob")
    desk.till.pay(other.id)
    desk.till.moods.clear()
    clock.forward(hours=1, minutes=1)
    assert reconciling.work(desk.app).counts["found by comparing"] == 1


def test_a_list_that_does_not_end_is_a_trouble_and_no_hang(desk):
    pages = iter(range(10**6))
    answer = {"items": [], "next_cursor": ""}

    def exchange(_call):
        return HttpAnswer(200, json.dumps(answer | {"next_cursor": f"c{next(pages) % 2}"}).encode())

    with pytest.raises(ProviderSilent, match="does not end"):
        provider("yookassa", desk.app.settings).listed(desk.app.clock(), exchange)


def test_the_books_are_not_compared_by_a_clock_that_jumped(desk, clock):
    clocks.note(desk.app)
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    clock.jump(days=-60)
    reconciling.work(desk.app)
    assert desk.periods() == []


@pytest.mark.parametrize("where", ["on its way back", "in review", "in the inbox"])
def test_nobody_is_erased_while_money_of_theirs_is_underway(desk, clock, where):
    order = desk.place("yookassa")
    if where == "on its way back":
        desk.till.pay(order.id)
        desk.ask(order)
        desk.till.mood = "down"
        with pytest.raises(ProviderSilent):
            refunds.refund(desk.app, desk.payments()[0].id)
    elif where == "in review":
        desk.till.pay(order.id, 0.5)
        desk.ask(order)
    else:
        waiting = {"update_id": 7, "chat_id": 501, "received_at": clock(), "not_before": clock(), "tries": 0}
        with desk.app.store.write() as tx:
            tx.execute(models.inbox.insert().values(**waiting, body={"message": {"successful_payment": {}}}))
    with pytest.raises(Conflict):
        users.remove(desk.app, "ann", erase=True)
    assert users.remove(desk.app, "ann").made.name == "ann", "to be removed, they need not be forgotten"


def test_the_money_of_another_shop_in_the_same_account_is_left_alone_unless_asked(desk):
    for number in range(3):
        desk.till.make("yookassa", "somebody-elses", "1.00", "RUB", f"once-{number}").state = "paid"
    reconciling.work(desk.app)
    assert desk.payments() == []
    assert len(reconcile(desk, dry_run=True).rows) == 3
