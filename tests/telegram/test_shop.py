"""Buying by the bot: every way from the plan to the config, and money that comes whatever else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support import till as tills
from tests.support.till import Till
from tests.telegram.conftest import make_bot
from tests.telegram.server import PROVIDER
from vpnctl.actions.people import users
from vpnctl.actions.sales import callbacks, checkout, proofs, refunds
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.actions.talk import lockdown
from vpnctl.rules.orders import OrderState
from vpnctl.rules.secret import Secret
from vpnctl.store.buying_rows import Order, Payment, Proof
from vpnctl.store.rows import Subscription

PLANS = """
plans:
  - {name: month, title: One month, days: 30, devices: 2, prices: {RUB: 39900, XTR: 250, EUR: 499}}
"""


@pytest.fixture
def till():
    made = Till()
    yield made
    made.close()


class Shop:
    """The bot with its cashier."""

    def __init__(self, bot: Any, till: Till) -> None:
        self.bot, self.till = bot, till

    def pump(self) -> None:
        """What threads would do: answer, ask providers, settle, send."""
        for _ in range(2):
            self.bot.pump()
            for part in (callbacks.work, checkout.work, refunds.work, proofs.work):
                self.bot.nodes.update(part(self.bot.app).node_ids)
            self.bot.care()

    def say(self, person: Any, text: str, **more: Any) -> str:
        person.say(text, **more)
        self.pump()
        return person.last.text

    def press(self, person: Any, label: str) -> str:
        person.press(label)
        self.pump()
        return person.last.text

    def rows(self, kind: Any) -> list[Any]:
        with self.bot.app.store.read() as tx:
            return tx.all(kind)

    def link(self, person: Any) -> str:
        """The page that the last message leads to."""
        return next(
            button["url"]
            for each in reversed(person.messages)
            for row in each.rows
            for button in row
            if button.get("url") and "Pay" in button["text"]
        )

    def pay(self, person: Any) -> str | None:
        """Pay an invoice of Telegram, which asks the bot first."""
        link = self.link(person)
        key = person.ask_to_pay(link)
        self.bot.fetch()
        if not person.let_pay(key):
            return None
        charge = person.pay_now(link)
        self.pump()
        return charge


@pytest.fixture
def store(shop, api, till, serve, ivan, admin, clock):
    known = replace(
        shop.settings,
        pay_stars=True,
        telegram_provider_token=Secret(PROVIDER),
        yookassa_shop=tills.SHOP,
        yookassa_key=Secret(tills.SHOP_KEY),
        yookassa_api_url=f"{till.url}/yookassa",
        manual_payment=(("EUR", "IBAN DE00 1234"),),
    )
    app = replace(shop, settings=known)
    api.now = lambda: clock().timestamp()
    inventory.apply(app, *parse(PLANS, "plans"))
    serve("fi")
    bot = make_bot(app, api)
    bot.join(ivan, admin)
    return Shop(bot, till)


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


def test_overdue_receipts_are_accepted_only_where_the_settings_let_and_as_many(store, ivan, clock):
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
