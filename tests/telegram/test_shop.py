"""Buying by the bot: every way from the plan to the config, and money that comes whatever else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vpnctl.actions.fleet import clock as clocks
from vpnctl.actions.people import users
from vpnctl.actions.talk import lockdown
from vpnctl.errors import Conflict
from vpnctl.rules.orders import OrderState
from vpnctl.store.buying_rows import Order, Payment, Proof
from vpnctl.store.rows import Subscription


def order_by(store, ivan, method):
    store.say(ivan, "/plans")
    store.press(ivan, "One month")
    store.press(ivan, method)


def test_a_person_pays_with_stars_and_connects(store, ivan):
    order_by(store, ivan, "Stars")
    assert store.pay(ivan) is not None
    assert "Paid" in ivan.last.text
    assert [each.paid_amount for each in store.rows(Subscription)] == [250]
    store.press(ivan, "Connect a device")
    store.press(ivan, "📱")
    assert ivan.files("document"), "the config came"


def test_a_stranger_has_a_paid_config_after_six_taps(store, api, admin):
    from tests.telegram.conftest import right_picture

    anna, taps = api.person(777, "Anna"), 0

    def tap(label):
        nonlocal taps
        taps += 1
        store.press(anna, label)

    store.say(anna, "/start")
    tap(right_picture(store.bot.app, anna))
    store.press(admin, "Let in")
    tap("One month")
    tap("Stars")
    taps += 1
    assert store.pay(anna)
    tap("Connect a device")
    tap("Phone")
    assert (bool(anna.files("document")), taps) == (True, 6)


def test_a_person_pays_on_a_page_and_the_bot_tells_by_itself(store, ivan, clock):
    order_by(store, ivan, "YooKassa")
    (order,) = store.rows(Order)
    assert store.link(ivan).startswith("https://pay.example/yk/")
    store.till.pay(order.id)
    clock.forward(seconds=30)
    store.pump()
    assert "Paid" in ivan.last.text


def test_i_have_paid_asks_the_provider_now(store, ivan):
    order_by(store, ivan, "YooKassa")
    assert "asked now" in store.press(ivan, "I have paid")
    (order,) = store.rows(Order)
    store.till.pay(order.id)
    store.press(ivan, "Ask again")
    assert "Paid" in ivan.last.text


def test_start_goes_on_with_an_order_that_waits(store, ivan):
    order_by(store, ivan, "YooKassa")
    store.say(ivan, "/start")
    assert "It waits for your payment" in store.press(ivan, "Order 1")
    store.press(ivan, "Give up")
    assert [each.state for each in store.rows(Order)] == [OrderState.CANCELLED]


def test_the_price_that_was_told_is_the_one_that_is_paid(store, ivan):
    from vpnctl.actions.sales import plans

    order_by(store, ivan, "Stars")
    plans.set_prices(store.bot.app, "month", ["XTR=999"])
    store.pay(ivan)
    assert [each.amount for each in store.rows(Payment)] == [250]
    assert len(store.rows(Subscription)) == 1


@pytest.mark.parametrize("what", ["locked", "suspended", "unlimited", "given up", "somebody else"])
def test_telegram_is_told_not_to_take_money_that_buys_nothing(store, ivan, second, api, what):
    order_by(store, ivan, "Stars")
    link, app = store.link(ivan), store.bot.app
    if what == "locked":
        lockdown.lock(app)
    elif what == "suspended":
        users.block(app, store.rows(Order)[0] and "tg501")
    elif what == "unlimited":
        users.change(app, "tg501", {"unlimited": True})
    elif what == "given up":
        store.press(ivan, "Give up")
    payer = second if what == "somebody else" else ivan
    key = payer.ask_to_pay(link)
    store.bot.fetch()
    assert payer.let_pay(key) is False
    assert "othing was charged" in api.asked[key]["error_message"]


@pytest.mark.parametrize("what", ["locked", "suspended", "burst", "expired"])
def test_money_that_came_is_booked_whatever_else_is(store, ivan, admin, clock, what):
    order_by(store, ivan, "Stars")
    link, app = store.link(ivan), store.bot.app
    if what == "locked":
        lockdown.lock(app)
    elif what == "suspended":
        users.block(app, "tg501")
    elif what == "burst":
        for _ in range(30):
            ivan.say("/start")
    else:
        clock.forward(days=2)
    ivan.pay_now(link)
    store.pump()
    (payment,) = store.rows(Payment)
    assert payment.state == ("review" if what == "suspended" else "booked")
    assert len(store.rows(Subscription)) == (what != "suspended")


def test_telegram_says_it_twice_and_it_is_booked_once(store, ivan):
    order_by(store, ivan, "Stars")
    link = store.link(ivan)
    charge = ivan.pay_now(link)
    ivan.paid(charge, store.bot.api.invoices[link])
    store.pump()
    assert (len(store.rows(Payment)), len(store.rows(Subscription))) == (1, 1)


def test_stars_that_went_back_end_the_access(store, ivan):
    order_by(store, ivan, "Stars")
    link = store.link(ivan)
    charge = ivan.pay_now(link)
    store.pump()
    ivan.paid(charge, store.bot.api.invoices[link], back=True)
    store.pump()
    assert [each.cancelled_at is None for each in store.rows(Subscription)] == [False]
    assert "given back" in ivan.last.text


PHOTO = [{"file_id": "AgAC-small", "file_unique_id": "small1"}, {"file_id": "AgAC-big", "file_unique_id": "big1"}]


def test_a_receipt_is_accepted_by_an_admin_and_then_forgotten(store, ivan, admin, second):
    order_by(store, ivan, "Transfer")
    assert "IBAN DE00 1234" in ivan.last.text
    store.say(ivan, "", photo=PHOTO)
    assert "looks at your receipt" in ivan.last.text
    assert "A receipt was sent" in admin.last.text
    store.press(admin, "Accept")
    assert "is accepted" in admin.last.text
    assert "Paid" in ivan.last.text
    assert [(each.file_id, each.file_key) for each in store.rows(Proof)] == [(None, "big1")]
    store.press(second, "Refuse")
    store.press(second, "did not come")
    assert "That did not work" in second.last.text
    assert [each.state for each in store.rows(Order)] == [OrderState.FULFILLED]


def test_a_receipt_is_refused_with_a_reason_in_the_persons_language(store, ivan, admin):
    order_by(store, ivan, "Transfer")
    users.change(store.bot.app, "tg501", {"locale": "ru"})
    store.say(ivan, "", document=PHOTO[0], forward_origin={"type": "user"})
    store.press(admin, "Refuse")
    store.press(admin, "did not come")
    assert "Деньги не пришли" in ivan.last.text
    assert store.rows(Subscription) == []


def test_a_number_is_a_receipt_too_once_it_is_said_to_be(store, ivan, admin):
    order_by(store, ivan, "Transfer")
    store.say(ivan, "TX-99812")
    store.press(ivan, "Yes")
    assert "TX-99812" in admin.last.text
    assert "is accepted" in store.say(admin, "/accept 1")


def test_the_same_receipt_buys_nothing_twice(store, ivan, admin):
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    store.press(admin, "Accept")
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    assert "sent before" in ivan.last.text
    assert [each.state for each in store.rows(Order)][-1] == OrderState.AWAITING


def test_an_album_is_one_receipt_and_one_answer(store, ivan, admin):
    order_by(store, ivan, "Transfer")
    before = len(ivan.messages)
    for number in range(3):
        ivan.say("", photo=[{"file_id": f"A{number}", "file_unique_id": f"u{number}"}], media_group_id="g")
    store.pump()
    assert len(ivan.messages) == before + 1
    assert len(store.rows(Proof)) == 3


def test_overdue_receipts_are_accepted_only_where_the_settings_let_and_as_many(store, ivan, api, clock):
    api.pictures["AgAC-big"] = b"a receipt"
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    clock.forward(hours=50)
    store.pump()
    assert store.rows(Subscription) == [], "it is off by default"
    known = replace(store.bot.app.settings, manual_accept_hours=24, manual_accept_most=(("EUR", 498),))
    store.bot.app = replace(store.bot.app, settings=known)
    store.pump()
    assert store.rows(Subscription) == [], "it costs more than may be accepted so"
    store.bot.app = replace(store.bot.app, settings=replace(known, manual_accept_most=(("EUR", 499),)))
    store.pump()
    assert [each.decided_by for each in store.rows(Order)] == ["auto"]
    assert len(store.rows(Subscription)) == 1


def test_a_receipt_for_an_order_that_was_given_up_is_looked_at_all_the_same(store, ivan, admin):
    order_by(store, ivan, "Transfer")
    order_by(store, ivan, "Stars")
    store.say(ivan, "", photo=PHOTO)
    assert "A receipt was sent" in admin.last.text
    store.press(admin, "Accept")
    assert len(store.rows(Subscription)) == 1


def test_the_same_picture_in_another_file_is_noticed_and_never_accepted_unseen(store, ivan, admin, api, second, clock):
    api.pictures |= {"AgAC-big": b"the same picture", "AgAC-copy": b"the same picture"}
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    store.press(admin, "Accept")
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=[{"file_id": "AgAC-copy", "file_unique_id": "another"}])
    assert any("of order 2 was sent for order 1 too" in each.text for each in admin.messages)
    limits = {"manual_accept_hours": 24, "manual_accept_most": (("EUR", 499),)}
    store.bot.app = replace(store.bot.app, settings=replace(store.bot.app.settings, **limits))
    clock.forward(hours=50)
    store.pump()
    assert [each.state for each in store.rows(Order)] == [OrderState.FULFILLED, OrderState.PROOF]


@pytest.mark.parametrize(
    "file", [None, {"file_size": 2 * 2**20}, {"file_path": "../../getMe"}, {"file_path": "a b"}, {"file_path": 7}]
)
def test_a_receipt_that_cannot_be_compared_waits_for_an_admin_and_for_nobody_else(store, ivan, admin, api, clock, file):
    if file is not None:
        api.pictures["AgAC-big"] = b"x"
        api.do_getFile = lambda _params, _files: {"file_id": "a", "file_path": "photos/AgAC-big.jpg"} | file
    limits = {"manual_accept_hours": 24, "manual_accept_most": (("EUR", 499),)}
    store.bot.app = replace(store.bot.app, settings=replace(store.bot.app.settings, **limits))
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    assert [each.digest for each in store.rows(Proof)] == ["unreadable"]
    clock.forward(hours=50)
    store.pump()
    assert store.rows(Subscription) == [], "never unseen"
    store.say(admin, "/accept 1")
    assert len(store.rows(Subscription)) == 1


@pytest.mark.parametrize("status", [429, 500, 200])
def test_a_receipt_is_compared_once_telegram_is_well_again(store, ivan, api, clock, status):
    api.pictures["AgAC-big"] = b"a receipt"
    order_by(store, ivan, "Transfer")
    api.fail("getFile", status, b"<html>" if status == 200 else {"ok": False, "error_code": status}, times=2)
    store.say(ivan, "", photo=PHOTO)
    assert [each.digest for each in store.rows(Proof)] == [None]
    clock.forward(minutes=2)
    store.pump()
    clock.forward(minutes=2)
    store.pump()
    assert len(store.rows(Proof)[0].digest) == 64


def test_an_admin_sees_what_a_person_ordered_before(store, ivan, admin):
    order_by(store, ivan, "Stars")
    store.pay(ivan)
    order_by(store, ivan, "YooKassa")
    store.press(ivan, "Give up")
    store.say(admin, "/users tg501")
    store.press(admin, "tg501")
    assert "Paid: 1" in admin.last.text
    text = store.press(admin, "Orders")
    assert text.index("Order 2: One month") < text.index("Order 1: One month")


def test_a_clock_that_jumped_ahead_accepts_no_receipt_unseen(store, ivan, api, clock):
    api.pictures["AgAC-big"] = b"a receipt"
    limits = {"manual_accept_hours": 24, "manual_accept_most": (("EUR", 499),)}
    store.bot.app = replace(store.bot.app, settings=replace(store.bot.app.settings, **limits))
    clocks.note(store.bot.app)
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    clock.jump(days=2)
    store.pump()
    assert store.rows(Subscription) == []


def test_telegram_in_trouble_is_asked_about_one_receipt_a_minute_and_not_about_all(store, ivan, second, api, clock):
    order_by(store, ivan, "Transfer")
    for number in range(5):
        ivan.say("", photo=[{"file_id": f"A{number}", "file_unique_id": f"u{number}"}], media_group_id="g")
    api.fail("getFile", 502, b"<html>", times=1000)
    store.pump()
    before = len(api.methods("getFile")) + 1000 - api.failures[-1].times
    store.pump()
    assert before == 1
    assert 1000 - api.failures[-1].times == 1, "not again within a minute"


def test_a_receipt_is_forgotten_only_once_it_can_be_told_from_a_copy(store, ivan, admin, api, clock):
    api.pictures["AgAC-big"] = b"a receipt"
    api.fail("getFile", 502, b"<html>", times=1)
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    store.press(admin, "Accept")
    clock.forward(minutes=2)
    store.pump()
    assert [(each.file_id, len(each.digest)) for each in store.rows(Proof)] == [(None, 64)]


def test_who_sent_a_receipt_is_not_erased_before_it_is_decided_on(store, ivan, api):
    order_by(store, ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    with pytest.raises(Conflict, match="order 1 of tg501 is not settled"):
        users.remove(store.bot.app, "tg501", erase=True)
