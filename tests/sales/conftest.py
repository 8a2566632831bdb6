"""A shop: plans with prices, people, and who takes payments, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import till as tills
from tests.support.postgres import database
from tests.support.till import Till
from tests.telegram.server import PROVIDER, TOKEN, BotApi
from vpnctl.actions.people import users
from vpnctl.actions.sales import callbacks, checkout, orders, refunds
from vpnctl.actions.service import inventory, state
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import App, open_app
from vpnctl.rules.secret import Secret
from vpnctl.settings import load
from vpnctl.store import find, models
from vpnctl.store.buying_rows import Order, Payment
from vpnctl.store.rows import Notice, Subscription

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, title: One month, days: 30, devices: 2, prices: {RUB: 39900, EUR: 499, IRR: 150000000, XTR: 250}}
  - {name: big, title: Big, days: 30, devices: 9, prices: {RUB: 79900, EUR: 999, XTR: 500}}
"""
CURRENCY = {"yookassa": "RUB", "cryptomus": "EUR", "stripe": "EUR", "zarinpal": "IRR"}
"""In which currency each provider of the till is paid."""


@pytest.fixture
def till() -> Iterator[Till]:
    made = Till()
    yield made
    made.close()


@pytest.fixture
def botapi() -> Iterator[BotApi]:
    made = BotApi()
    yield made
    made.close()


@dataclass
class Desk:
    """What a test looks at: orders, payments, periods, messages."""

    app: App
    till: Till
    botapi: BotApi

    def place(self, provider: str, plan: str = "month", user: str = "ann", currency: str = "") -> Order:
        """Order, and have the checkout made."""
        with self.app.store.read() as tx:
            row = find.user(tx, user)
        placed = orders.place(self.app, row, plan, currency or CURRENCY[provider], provider)
        self.round()
        return self.order(placed)

    def round(self) -> checkout.Round:
        done = callbacks.work(self.app)
        more = checkout.work(self.app)
        refunds.work(self.app)
        more.counts += done.counts
        return more

    def ask(self, order: Order) -> None:
        """Have the provider asked now, as `I have paid` does."""
        with self.app.store.write() as tx:
            orders.ask_now(tx, self.app, order)
        self.round()

    def order(self, order: Order) -> Order:
        with self.app.store.read() as tx:
            return tx.one(Order, models.order.c.id == order.id)

    def all(self, kind: Any) -> list[Any]:
        with self.app.store.read() as tx:
            return tx.all(kind)

    def payments(self) -> list[Payment]:
        return self.all(Payment)

    def periods(self) -> list[Subscription]:
        return [each for each in self.all(Subscription) if each.cancelled_at is None]

    def told(self, kind: str) -> list[Notice]:
        return [each for each in self.all(Notice) if each.kind == kind]


@pytest.fixture(scope="session")
def filled(postgres: str, fresh_state: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database of that server that goes with the key file of `fresh_state`; to be copied."""
    home, url = tmp_path_factory.mktemp("filled"), database(postgres)
    env = {"HOME": str(home), "VPNCTL_STATE_DIR": str(home), "VPNCTL_DATABASE_URL": url}
    state.init(load(None, env | {"VPNCTL_KEY_FILE": str(fresh_state / "keys/vault.key")}), "cli:test")
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def books(request: pytest.FixtureRequest) -> Iterator[App]:
    """The app on either database."""
    app: App = request.getfixturevalue("app")
    if request.param == "sqlite":
        yield app
        return
    url = database(request.getfixturevalue("postgres"), request.getfixturevalue("filled"))
    opened = open_app(replace(app.settings, database_url=url), "cli:test")
    yield replace(app, store=opened.store, settings=opened.settings)
    opened.store.close()


@pytest.fixture
def desk(books: App, till: Till, botapi: BotApi, clock: Any) -> Desk:
    app = books
    known = replace(
        app.settings,
        bot_token=Secret(TOKEN),
        telegram_api_url=botapi.url,
        telegram_provider_token=Secret(PROVIDER),
        admin_ids=(11,),
        yookassa_shop=tills.SHOP,
        yookassa_key=Secret(tills.SHOP_KEY),
        yookassa_api_url=f"{till.url}/yookassa",
        cryptomus_merchant=tills.MERCHANT,
        cryptomus_key=Secret(tills.MERCHANT_KEY),
        cryptomus_api_url=f"{till.url}/cryptomus",
        stripe_key=Secret(tills.STRIPE_KEY),
        stripe_webhook_key=Secret(tills.STRIPE_HOOK),
        stripe_api_url=f"{till.url}/stripe",
        zarinpal_merchant=Secret(tills.ZARIN),
        zarinpal_api_url=f"{till.url}/zarinpal",
        manual_payment=(("EUR", "IBAN DE00 0000"),),
    )
    shop = replace(app, settings=known)
    botapi.now = lambda: clock().timestamp()
    inventory.apply(shop, *parse(PLANS, "plans"))
    users.add(shop, ["ann", "bob"])
    for name, number in (("ann", 501), ("bob", 502)):
        users.change(shop, name, {"telegram_id": number})
    return Desk(shop, till, botapi)
