"""Where updates come in, by polling or by webhook: what we listen to is stored, and a question before a payment is
answered at once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bot.client import Client
from bot.incoming import Asking, asking, read, update_id
from bot.money import checkout_gate
from vpnctl import errors
from vpnctl.actions.people import invites
from vpnctl.actions.talk import updates
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.remote.telegram import Fate
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings

PATH = "/telegram"


class Intake:
    """Takes updates. `log` hears of questions that could not be answered."""

    def __init__(self, app: App, client: Client, bot_name: Callable[[], str], log: Callable[[str], None]) -> None:
        self._app, self._client, self._bot_name, self._log = app, client, bot_name, log
        self._tellers = ThreadPoolExecutor(2, thread_name_prefix="prepay")

    def receive(self, raw: list[Any]) -> int:
        """Store what came; return how many are new. What nobody listens to is not stored."""
        found = []
        name = self._bot_name()
        for question in filter(None, map(asking, raw)):
            self._tellers.submit(self._let_pay, question)
        for each in raw:
            number, said = update_id(each), read(each, name)
            if number is not None and said is not None:
                found.append((number, said.sender, each))
        return updates.receive(self._app, found)

    def _let_pay(self, question: Asking) -> None:
        """Answer before a payment, at once and beside all that waits; unanswered, Telegram lets nobody pay."""
        try:
            why_not = checkout_gate(self._app, question)
            outcome = self._client.let_pay(question.key, why_not)
            if outcome.fate is not Fate.SENT:
                self._log(f"a payment could not be let through: {outcome.why}")
        except Exception as error:  # noqa: BLE001 - a thread of a pool dies unseen
            self._log(errors.told(error))


def secret(settings: Settings) -> Secret:
    """Return what Telegram must show with each update: made of the bot's token, so that all processes know it."""
    token = settings.bot_token.reveal().encode()
    return Secret(hmac.new(token, b"vpnctl telegram webhook", hashlib.sha256).hexdigest())


@dataclass(frozen=True)
class Webhook:
    """What the web process hands Telegram's updates to. `secret` is what Telegram must show with each."""

    secret: Secret
    receive: Callable[[list[Any]], object]


def webhook(app: App, log: Callable[[str], None]) -> Webhook:
    """Return what the web process hands Telegram's updates to. Raises InvalidInput without a token."""
    if not app.settings.bot_token.reveal():
        raise InvalidInput("there is no bot token", "set bot_token, or telegram_updates to poll")

    def name() -> str:
        with app.store.read() as tx:
            return invites.bot_name(tx)

    return Webhook(secret(app.settings), Intake(app, Client(app.settings), name, log).receive)
