"""What a handler is given: who speaks, in which language, and the core, on which everything is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.screen import Rows, label
from vpnctl.app import App
from vpnctl.errors import TooOften
from vpnctl.reports import brakes
from vpnctl.store import outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import ADMIN, Message
from vpnctl.store.rows import User
from vpnctl.wording import Choice
from vpnctl.words import Words

HOURLY = 20
"""Acts of one admin's account in an hour that take access away, and of those that give it."""


@dataclass(frozen=True)
class Talk:
    """One update, being handled. `user` is None for strangers and for admins who are no users."""

    app: App
    tx: Tx
    sender: int
    name: str
    """What the person calls themselves: free text, for screens only."""
    language: str
    user: User | None
    admin: bool
    text: str = ""
    """What stands behind a command."""
    args: dict[str, Any] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    """Filled by handlers: nodes to be settled once this is committed."""

    @property
    def locale(self) -> str:
        """The person's own choice, else what their Telegram speaks."""
        return self.user.locale if self.user else self.language

    @property
    def words(self) -> Words:
        """Texts of messages: HTML, with values escaped."""
        return Words(self.locale, markup=True)

    @property
    def now(self) -> datetime:
        """The present, in the operator's zone."""
        return self.app.clock()

    @property
    def person(self) -> User:
        """The user; handlers of users are only called when there is one."""
        assert self.user is not None  # noqa: S101 - routes see to it
        return self.user

    def choice(self, text: str, action: str, /, *, with_: dict[str, Any] | None = None, **args: Any) -> Choice:
        """Return a button with a translated label."""
        return Choice(label(Words(self.locale).say(text, **(with_ or {}))), action, args)

    def back(self, action: str = "home", **args: Any) -> tuple[Choice, ...]:
        """Return the last row of every screen."""
        home = (self.choice("« Menu", "home"),)
        return home if action == "home" else (self.choice("‹ Back", action, **args), *home)

    def settle(self, node_ids: Iterable[str]) -> None:
        """Have nodes settled once this is committed."""
        self.nodes.update(node_ids)

    def act(self, verb: str, *, takes: bool = False, **details: Any) -> None:
        """Count what an admin does, and tell the other admins. TooOften when it is more than a person would do."""
        if brakes.acts(self.tx, self.app.actor, self.now, takes=takes) >= HOURLY:
            raise TooOften("the brake: too much in an hour for one account", "use the command line")
        others = [each for each in self.app.settings.admin_ids if each != self.sender]
        told = {"verb": verb, "admin": self.name or str(self.sender), **details}
        once = secrets.token_hex(12)
        messages = [Message(ADMIN, "act", once, "", told, to=each) for each in others]
        outbox.enqueue(self.tx, messages, self.now)


def rows(*each: Iterable[Choice]) -> Rows:
    """Return rows of buttons, those that have any."""
    return tuple(row for row in (tuple(row) for row in each) if row)
