"""Whoever pays gets access, whoever did not gets none, nobody pays twice: each provider, asked by polling alone."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.conftest import serving
from tests.sales.conftest import CURRENCY
from tests.telegram.server import Person
from vpnctl.actions.fleet import clock as clocks
from vpnctl.actions.people import users
from vpnctl.actions.sales import booking, checkout, deciding, orders, refunds, subscriptions
from vpnctl.errors import Conflict
from vpnctl.payments.interface import MoneyStatus, Word
from vpnctl.rules.orders import OrderState, PaymentState
from vpnctl.store import models
from vpnctl.store.buying_rows import Order

ASKED = sorted(CURRENCY)
"""Providers with a page that are asked what became of a payment."""


@pytest.mark.parametrize("provider", ASKED)
def test_a_paid_order_gives_access_once_it_is_asked_about(desk, provider):
    order = desk.place(provider)
    assert (order.state, order.url.startswith("http")) == (OrderState.AWAITING, True)
    desk.ask(order)
    assert desk.order(order).state == OrderState.AWAITING, "nothing was paid yet"
    desk.till.pay(order.id)
    desk.ask(order)
    (payment,), (period,) = desk.payments(), desk.periods()
    assert (payment.state, payment.amount, payment.currency) == (PaymentState.BOOKED, order.amount, order.currency)
    assert (period.source, period.payment, period.days) == ("payment", payment.id, 30)
    assert (period.paid_amount, period.paid_currency) == (order.amount, order.currency)
    desk.ask(order)
    assert (len(desk.payments()), len(desk.periods())) == (1, 1), "asked again, it is booked once"
    assert [each.details["number"] for each in desk.told("paid")] == [order.number]


def test_stars_are_booked_when_telegram_lists_them(desk):
    order = desk.place("stars", currency="XTR")
    ann = Person(desk.botapi, 501, {"id": 501, "is_bot": False, "first_name": "Ann"})
    ann.pay_now(order.url, tell=False)
    desk.ask(order)
    assert [each.payer for each in desk.payments()] == ["501"]
    assert desk.order(order).state in (OrderState.PAID, OrderState.FULFILLED)


def test_an_invoice_of_telegram_payments_carries_the_order_and_its_price(desk):
    order = desk.place("telegram", currency="EUR")
    assert desk.botapi.invoices[order.url] == {"payload": order.id, "currency": "EUR", "amount": 499}
    assert order.ask_at is None, "nobody can be asked: Telegram brings the word by itself"


@pytest.mark.parametrize("provider", ASKED)
def test_nobody_gets_anything_for_an_attempt_that_failed(desk, provider, clock):
    order = desk.place(provider)
    desk.till.fail(order.id)
    clock.forward(hours=2)
    desk.ask(order)
    assert desk.order(order).state in (OrderState.CANCELLED, OrderState.EXPIRED)
    assert desk.periods() == []


@pytest.mark.parametrize("provider", ["yookassa", "cryptomus", "stripe"])
@pytest.mark.parametrize(("part", "state"), [(0.5, PaymentState.REVIEW), (1.5, PaymentState.BOOKED)])
def test_too_little_waits_for_an_admin_and_too_much_is_served_and_noted(desk, provider, part, state):
    order = desk.place(provider)
    desk.till.pay(order.id, part)
    desk.ask(order)
    (payment,) = desk.payments()
    assert (payment.state, bool(payment.note)) == (state, True)
    assert len(desk.periods()) == (state == PaymentState.BOOKED)
    assert len(desk.told("review")) == (state == PaymentState.REVIEW)


def test_money_in_another_currency_waits_for_an_admin(desk):
    order = desk.place("yookassa")
    sold = desk.till.pay(order.id)
    sold.currency = "USD"
    desk.ask(order)
    assert (desk.order(order).state, desk.periods()) == (OrderState.REVIEW, [])


@pytest.mark.parametrize("provider", ASKED)
def test_money_that_comes_late_buys_what_was_ordered_at_its_price(desk, provider, clock):
    order = desk.place(provider)
    clock.forward(hours=30)
    desk.round()
    assert desk.order(order).state in (OrderState.EXPIRED, OrderState.CANCELLED)
    with desk.app.store.write() as tx:
        from vpnctl.store.rows import Plan

        tx.update(Plan, models.plan.c.name == "month", on_sale=False, prices={"EUR": 1}, days=1)
    desk.till.pay(order.id)
    desk.ask(order)
    assert [(each.days, each.paid_amount) for each in desk.periods()] == [(30, order.amount)]


def test_who_was_suspended_meanwhile_gets_nothing_and_an_admin_hears_of_the_money(desk):
    order = desk.place("yookassa")
    users.block(desk.app, "ann")
    desk.till.pay(order.id)
    desk.ask(order)
    assert (desk.order(order).state, desk.periods(), len(desk.told("review"))) == (OrderState.REVIEW, [], 1)
    users.unblock(desk.app, "ann")
    assert deciding.accept(desk.app, order.number).order.state == OrderState.PAID
    assert len(desk.periods()) == 1


def test_a_second_payment_for_an_order_is_put_aside(desk):
    order = desk.place("yookassa")
    for key in ("one", "two"):
        booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, key, key, order.id, order.amount, "RUB"))
    states = sorted((each.external_id, each.state) for each in desk.payments())
    assert states == [("one", "booked"), ("two", "review")]
    assert len(desk.periods()) == 1


def test_money_that_names_no_order_is_kept_as_an_orphan(desk):
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", "", 100, "RUB"))
    assert [(each.state, each.order_id) for each in desk.payments()] == [("orphan", None)]
    assert len(desk.told("review")) == 1


def test_another_wish_takes_the_place_of_the_one_that_waits_and_the_same_one_is_the_same(desk):
    first = desk.place("yookassa")
    assert desk.place("yookassa").id == first.id
    second = desk.place("stripe", "big")
    assert desk.order(first).state == OrderState.CANCELLED
    desk.till.pay(first.id)
    desk.ask(first)
    assert [each.plan for each in desk.periods()] == ["month"], "it was paid all the same"
    assert desk.order(second).state == OrderState.AWAITING


def test_a_bigger_plan_begins_now_as_was_told_and_the_rest_follows(desk, clock):
    subscriptions.grant(desk.app, "ann", "month")
    order = desk.place("yookassa", "big")
    assert order.replaces_id is not None
    desk.till.pay(order.id)
    desk.ask(order)
    by_start = sorted((each for each in desk.periods() if each.ends_at > clock()), key=lambda each: each.starts_at)
    assert [each.plan for each in by_start] == ["big", "month"]


def test_who_renews_gets_the_time_behind_what_is_left(desk):
    subscriptions.grant(desk.app, "ann", "month")
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    first, second = sorted(desk.periods(), key=lambda each: each.starts_at)
    assert second.starts_at == first.ends_at


def test_an_unlimited_person_cannot_buy(desk):
    users.change(desk.app, "bob", {"unlimited": True})
    with pytest.raises(Conflict, match="unlimited"):
        desk.place("yookassa", user="bob")


@pytest.mark.parametrize("mood", ["down", "half", "odd", "late"])
@pytest.mark.parametrize("provider", ["yookassa", "cryptomus", "stripe"])
def test_a_provider_in_trouble_is_asked_again_and_makes_one_checkout(desk, provider, mood, clock):
    desk.till.mood = mood
    order = desk.place(provider)
    assert order.state == OrderState.DRAFT
    desk.till.mood = ""
    clock.forward(minutes=1)
    desk.round()
    assert desk.order(order).state == OrderState.AWAITING
    assert len([each for each in desk.till.sold.values() if each.order == order.id]) == 1
    desk.till.pay(order.id)
    desk.till.mood = mood
    desk.ask(order)
    assert desk.periods() == [], "what makes no sense proves nothing"
    desk.till.mood = ""
    clock.forward(minutes=1)
    desk.round()
    assert len(desk.periods()) == 1


def test_one_poisoned_order_does_not_keep_the_others_waiting(desk):
    bad = desk.place("yookassa")
    good = desk.place("stripe", user="bob")
    with desk.app.store.write() as tx:
        tx.execute(
            models.order.update().where(models.order.c.id == bad.id).values(provider="gone", ask_at=desk.app.clock())
        )
    desk.till.pay(good.id)
    with desk.app.store.write() as tx:
        orders.ask_now(tx, desk.app, good)
    done = checkout.work(desk.app)
    assert (len(done.troubles), len(desk.periods())) == (1, 1)


def test_admins_hear_of_a_provider_that_is_down_for_long_and_of_it_once(desk, clock):
    desk.till.moods["yookassa"] = "down"
    for _ in range(30):
        desk.place("yookassa")
        clock.forward(minutes=1)
    assert [each.details["provider"] for each in desk.told("provider_down")] == ["yookassa"]


def test_an_order_that_is_served_is_asked_about_once_more_at_most(desk):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    desk.ask(order)
    asked = len(desk.till.asked)
    desk.round()
    assert len(desk.till.asked) == asked


def test_an_order_nobody_paid_is_asked_about_less_and_less_and_then_never_again(desk, clock):
    order = desk.place("yookassa")
    asked = len(desk.till.asked)
    for _ in range(9 * 24):
        clock.forward(hours=1)
        desk.round()
    assert len(desk.till.asked) - asked < 60
    assert desk.order(order).ask_at is None


@pytest.mark.parametrize("provider", ["yookassa", "stripe"])
def test_a_refund_ends_the_period_that_was_paid_and_a_second_one_is_a_success_too(desk, provider):
    order = desk.place(provider)
    desk.till.pay(order.id)
    desk.ask(order)
    (payment,) = desk.payments()
    assert refunds.refund(desk.app, payment.id).payment.state == PaymentState.REFUNDED
    assert (desk.periods(), desk.order(order).state) == ([], OrderState.REFUNDED)
    assert refunds.refund(desk.app, payment.id).payment.state == PaymentState.REFUNDED


def test_a_refund_that_the_provider_did_not_hear_of_is_tried_again(desk, clock):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    desk.till.mood = "late"  # it gives the money back, and its answer is lost
    (payment,) = desk.payments()
    with pytest.raises(Exception, match="trouble"):
        refunds.refund(desk.app, payment.id)
    assert (desk.order(order).state, len(desk.periods())) == (OrderState.REFUNDING, 1)
    desk.till.mood = ""
    clock.forward(minutes=1)
    desk.round()
    assert (desk.order(order).state, desk.periods()) == (OrderState.REFUNDED, [])


def test_who_gives_nothing_back_by_itself_says_what_to_type(desk):
    order = desk.place("cryptomus")
    desk.till.pay(order.id)
    desk.ask(order)
    (payment,) = desk.payments()
    with pytest.raises(Conflict) as refused:
        refunds.refund(desk.app, payment.id)
    assert refused.value.hint.endswith("--by-hand")
    refunds.refund(desk.app, payment.id, by_hand=True)
    assert desk.periods() == []


def test_what_was_given_back_on_the_providers_page_ends_access_too(desk):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    desk.till.of(order.id).refunded = True
    with desk.app.store.write() as tx:
        orders.ask_now(tx, desk.app, order)
    desk.round()
    assert (desk.order(order).state, desk.periods()) == (OrderState.REFUNDED, [])


def test_a_refund_that_is_heard_of_before_the_payment_gives_no_access(desk):
    order = desk.place("yookassa")
    word = Word(MoneyStatus.REFUNDED, "k", "k", order.id, order.amount, "RUB", refunded=order.amount)
    booking.book(desk.app, "yookassa", word)
    booking.book(desk.app, "yookassa", Word(MoneyStatus.PAID, "k", "k", order.id, order.amount, "RUB"))
    assert desk.periods() == []


def test_an_order_is_fulfilled_once_its_nodes_agree(desk, fleet, clock):
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.people import peers
    from vpnctl.actions.people.issue import Wanted

    node = serving(desk.app, fleet)("fi")
    subscriptions.grant(desk.app, "ann", "month")
    (issued,) = peers.add(desk.app, [Wanted("ann", "phone")])
    settle(desk.app, issued.node_ids)
    clock.forward(days=40)
    settle(desk.app, issued.node_ids)
    order = desk.place("yookassa")
    node.fake.down = True
    desk.till.pay(order.id)
    desk.ask(order)
    settle(desk.app, issued.node_ids)
    desk.round()
    assert desk.order(order).state == OrderState.PAID, "the money is booked, whatever the node does"
    node.fake.down = False
    clock.forward(minutes=5)
    settle(desk.app, issued.node_ids)
    desk.round()
    found = desk.order(order)
    assert (found.state, found.fulfilled_at) == (OrderState.FULFILLED, clock())


def test_nothing_a_provider_or_we_say_holds_a_key(desk, clock, capsys):
    for provider in ASKED:
        for mood in ("down", "odd"):
            desk.till.mood = mood
            desk.place(provider)
            clock.forward(minutes=2)
    desk.till.mood = ""
    with desk.app.store.read() as tx:
        dump = "\n".join(
            str(row)
            for table in tx.connection.dialect.get_table_names(tx.connection)  # type: ignore[attr-defined]
            for row in tx.connection.exec_driver_sql(f'SELECT * FROM "{table}"')
        )
    assert "canary" not in dump.lower()
    assert "canary" not in repr(desk.app.settings).lower()


@pytest.mark.parametrize("erase", [False, True])
def test_money_of_somebody_who_was_removed_can_go_back(desk, erase):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.ask(order)
    users.remove(desk.app, "ann", erase=erase)
    (payment,) = desk.payments()
    assert refunds.refund(desk.app, payment.id).payment.state == PaymentState.REFUNDED


def test_a_refund_takes_back_what_an_upgrade_had_moved_behind(desk, clock):
    first = desk.place("yookassa")
    desk.till.pay(first.id)
    desk.ask(first)
    second = desk.place("yookassa", "big")
    desk.till.pay(second.id)
    desk.ask(second)
    payment = next(each for each in desk.payments() if each.order_id == first.id)
    refunds.refund(desk.app, payment.id)
    assert [each.plan for each in desk.periods() if each.ends_at > clock()] == ["big"]


def test_a_second_payment_that_cannot_go_back_stays_in_review(desk):
    order = desk.place("stripe")
    desk.till.pay(order.id)
    desk.ask(order)
    booking.book(desk.app, "stripe", Word(MoneyStatus.PAID, "cs_gone", "", order.id, order.amount, "EUR"))
    second = next(each for each in desk.payments() if each.external_id == "cs_gone")
    with pytest.raises(Conflict):
        refunds.refund(desk.app, second.id)
    assert sorted(each.state for each in desk.payments()) == ["booked", "review"]
    assert len(desk.told("refund_failed")) == 1


def test_a_merchant_that_is_not_known_ends_no_order(desk, clock):
    from dataclasses import replace

    from vpnctl.rules.secret import Secret

    order = desk.place("zarinpal")
    desk.till.pay(order.id)
    wrong = replace(desk.app.settings, zarinpal_merchant=Secret("9" * 36))
    right, desk.app = desk.app, replace(desk.app, settings=wrong)
    clock.forward(hours=3)
    desk.ask(order)
    assert desk.payments() == [], "it was not said that nobody paid"
    desk.app = right
    desk.ask(order)
    assert len(desk.periods()) == 1


def test_who_was_told_that_a_way_to_pay_would_come_hears_that_it_did_not(desk, clock):
    desk.till.mood = "down"
    desk.place("yookassa")
    clock.forward(hours=2)
    desk.round()
    assert [each.details["number"] for each in desk.told("not_paid")] == [1]


def test_a_provider_that_is_down_for_a_day_loses_nothing(desk, clock):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    desk.till.mood = "down"
    for _ in range(24):
        clock.forward(hours=1)
        desk.round()
    assert desk.order(order).state == OrderState.EXPIRED
    desk.till.mood = ""
    clock.forward(hours=2)
    desk.round()
    assert [(each.paid_amount, each.days) for each in desk.periods()] == [(order.amount, 30)]


def test_a_clock_that_jumps_ahead_ends_no_order_and_hides_no_money(desk, clock):
    clocks.note(desk.app)
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    clock.jump(days=60)
    desk.round()
    assert (desk.order(order).state, desk.periods()) == (OrderState.AWAITING, []), "nobody believes such a clock"
    clock.jump(days=-60)
    clock.forward(minutes=5)
    desk.round()
    assert [each.starts_at for each in desk.periods()] == [clock()]


def test_what_a_clock_that_ran_ahead_put_off_is_asked_about_now(desk, clock):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    with desk.app.store.write() as tx:
        tx.update(Order, models.order.c.id == order.id, ask_at=clock() + timedelta(days=60))
    desk.round()
    assert len(desk.periods()) == 1


def test_a_database_that_is_locked_for_a_moment_only_delays(desk):
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    held, done = threading.Event(), threading.Event()

    def hold():
        with desk.app.store.write() as tx:
            tx.set_meta("held", "yes")
            held.set()
            done.wait(1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    desk.ask(order)
    done.set()
    thread.join()
    assert len(desk.periods()) == 1
