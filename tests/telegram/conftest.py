"""The bot on in-memory nodes against a loopback Bot API, step by step; and the real threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.client import Client
from bot.dispatcher import Dispatcher
from tests.telegram import oracle
from tests.telegram.server import NAME, TOKEN, BotApi, Person
from vpnctl.actions.fleet.settle import settle
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
