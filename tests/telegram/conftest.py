"""The bot on in-memory nodes against a loopback Bot API, step by step; and the real threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.client import Client
from bot.dispatcher import Dispatcher
from tests.support import till as tills
from tests.support.till import Till
from tests.telegram import oracle
from tests.telegram.server import NAME, PROVIDER, TOKEN, BotApi, Person
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.sales.rounds import rounds
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.actions.talk import delivery, updates
from vpnctl.app import App
from vpnctl.remote.telegram import Fate
from vpnctl.rules.secret import Secret
from vpnctl.worker.rate_limit import RateLimit

ADMIN, SECOND = 11, 12


@pytest.fixture
def api() -> Iterator[BotApi]:
    """The Bot API; at the end no request may have been wrong."""
    made = BotApi(check=oracle.check)
    yield made
    made.close()
    assert made.problems == []


@dataclass
class Bot:
    """The bot without its threads: `pump` does what they would do, until nothing is left to do."""

    app: App
    api: BotApi
    dispatcher: Dispatcher
    nodes: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    def fetch(self) -> None:
        """Store what waits at Telegram, and confirm it."""
        client = Client(self.app.settings)
        offset = 0
        while self.api.queue:
            got = client.updates(offset, 1)
            if got.outcome.fate is not Fate.SENT:  # a machine that is busy elsewhere answers late
                continue
            found = got.result
            self.dispatcher.receive(found)
            offset = found[-1]["update_id"] + 1
            self.api.do_getUpdates({"offset": offset}, {})

    def handle(self) -> None:
        """Handle and answer what is stored."""
        while (row := updates.take(self.app, ())) is not None:
            self.dispatcher.serve(row)

    def care(self) -> None:
        """Settle what was asked for, send what is due."""
        nodes, self.nodes = self.nodes, set()
        settle(replace(self.app, actor="bot"), nodes)
        delivery.deliver(self.app)

    def pump(self) -> None:
        self.fetch()
        self.handle()
        self.care()

    def say(self, person: Person, text: str, **more: Any) -> str:
        """Say something and return the text that comes last."""
        person.say(text, **more)
        self.pump()
        return person.last.text if person.messages else ""

    def press(self, person: Person, label: str, **more: Any) -> str:
        person.press(label, **more)
        self.pump()
        return person.last.text

    def join(self, person: Person, admin: Person) -> None:
        """Pass the captcha and be let in."""
        self.say(person, "/start")
        self.press(person, right_picture(self.app, person))
        self.press(admin, "Let in")


def right_picture(app: App, person: Person) -> str:
    """What a person sees at a glance: the label of the right picture."""
    from vpnctl.store import models
    from vpnctl.store.talk_rows import Button

    tokens = {button["callback_data"]: button["text"] for row in person.last.rows for button in row}
    with app.store.read() as tx:
        shown = tx.all(Button, models.button.c.id.in_(list(tokens)))
    return next(tokens[each.id] for each in shown if each.args["right"])


@pytest.fixture
def shop(app: App, api: BotApi) -> App:
    """The app with a bot and two admins."""
    known = replace(
        app.settings,
        bot_token=Secret(TOKEN),
        telegram_api_url=api.url,
        telegram_rate=1000,
        admin_ids=(ADMIN, SECOND),
        tech_chat_id=-99,
        pay_stars=False,
    )
    return replace(app, settings=known)


def make_bot(shop: App, api: BotApi) -> Bot:
    nodes: set[str] = set()
    log: list[str] = []
    dispatcher = Dispatcher(shop, Client(shop.settings), NAME, nodes.update, log.append)
    dispatcher.rate_limit = RateLimit(1_000_000)
    with shop.store.write() as tx:
        tx.set_meta("bot_name", NAME)
    made = Bot(shop, api, dispatcher, log=log)
    dispatcher._after = lambda ids: made.nodes.update(ids)
    return made


@pytest.fixture
def bot(shop: App, api: BotApi) -> Bot:
    return make_bot(shop, api)


@pytest.fixture
def admin(api: BotApi) -> Person:
    return api.person(ADMIN, "Olga")


@pytest.fixture
def second(api: BotApi) -> Person:
    return api.person(SECOND, "Petr")


@pytest.fixture
def ivan(api: BotApi) -> Person:
    return api.person(501, "Ivan", username="ivan")


@pytest.fixture
def inside(bot, serve, ivan, admin):
    """Ivan is let in, and there is a node. Modules that want more of him override it."""
    bot.node = serve("fi")
    bot.join(ivan, admin)
    return bot


SHOP_PLANS = """
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
            for done in rounds(self.bot.app):
                self.bot.nodes.update(done.node_ids)
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
    inventory.apply(app, *parse(SHOP_PLANS, "plans"))
    serve("fi")
    bot = make_bot(app, api)
    bot.join(ivan, admin)
    return Shop(bot, till)
