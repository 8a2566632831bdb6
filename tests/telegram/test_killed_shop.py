"""The program is killed again and again while people buy: whoever paid has access, once."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

import pytest

from tests.conftest import serving
from tests.fakenode import Fleet
from tests.support import till as tills
from tests.telegram.test_running import Program
from vpnctl.actions.people import users
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import open_app
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.rows import Subscription

BUYERS, KILLS, SECONDS, PACE = 16, 6, 120, 1.5
PLANS = "plans:\n  - {name: month, title: One month, days: 30, prices: {RUB: 39900, XTR: 250}}\n"


class Buyer:
    """Somebody who goes on with buying wherever the bot is."""

    def __init__(self, api, till, number):
        self.api, self.till, self.stars = api, till, number % 2 == 0
        self.person = api.person(700 + number, f"B{number}")
        self.charge, self.next = "", 0.0

    def step(self, orders):
        """Do the next thing that a person would do, if there is one, and at a person's pace."""
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + PACE
        mine = [each for each in orders if each.user_id == self.user_id]
        if not mine:
            self.click("Stars" if self.stars else "YooKassa") or self.click("One month") or self.person.say("/plans")
        elif mine[-1].url and not self.charge:
            self.pay(mine[-1])

    def click(self, label):
        if not any(label in each for message in self.person.messages for each in message.labels()):
            return False
        self.person.press(label)
        return True

    def pay(self, order):
        if not self.stars:
            self.till.pay(order.id)
            self.charge = order.external_id
        elif self.person.let_pay(self.person.ask_to_pay(order.url), 5):
            self.charge = self.person.pay_now(order.url)


@pytest.fixture
def program(shop, api, till, tmp_path):
    made = Program(shop, api, tmp_path / "bot.log")
    made.env |= {
        "VPNCTL_YOOKASSA_SHOP": tills.SHOP,
        "VPNCTL_YOOKASSA_KEY": tills.SHOP_KEY,
        "VPNCTL_YOOKASSA_API_URL": f"{till.url}/yookassa",
    }
    yield made
    if made.process and made.process.poll() is None:
        made.end(signal.SIGKILL)


def _served(shop):
    """With no node there is no room, and nobody may pay; by the clock that the program has, too."""
    fleet, real = Fleet(time.time), open_app(shop.settings, "cli:test")
    serving(replace(real, connect=fleet.connect, shake=fleet.shake), fleet)("fi")
    real.store.close()


def test_a_shop_that_is_killed_again_and_again_books_every_payment_once(program, shop, api, till):
    _served(shop)
    inventory.apply(shop, *parse(PLANS, "plans"))
    buyers = [Buyer(api, till, number) for number in range(BUYERS)]
    for number, buyer in enumerate(buyers):
        (added,) = users.add(shop, [f"b{number}"], telegram_id=buyer.person.number)
        buyer.user_id = added.id
    end, kills = time.monotonic() + SECONDS, 0
    program.start()
    began = time.monotonic()
    while time.monotonic() < end:
        with shop.store.read() as tx:
            orders, bought = tx.all(Order), tx.all(Subscription)
        if len(bought) >= BUYERS and kills >= KILLS:
            break
        for buyer in buyers:
            buyer.step(orders)
        time.sleep(0.3)
        if kills < KILLS and time.monotonic() - began > 2 + kills % 3:
            program.end(signal.SIGKILL)
            kills += 1
            program.start()
            began = time.monotonic()
    program.end(signal.SIGKILL)
    with shop.store.read() as tx:
        payments, bought = tx.all(Payment), tx.all(Subscription)
    assert kills == KILLS
    assert sorted(each.external_id for each in payments) == sorted(buyer.charge for buyer in buyers)
    assert sorted(each.user_id for each in bought) == sorted(buyer.user_id for buyer in buyers)
