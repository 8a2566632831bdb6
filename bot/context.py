"""What a handler is given: who speaks, in which language, and the core, on which everything is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from bot.screen import Rows, grid, label
from vpnctl.actions.outcome import Concerning
from vpnctl.actions.talk import admins
from vpnctl.app import App
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.texts.letter import Choice
from vpnctl.texts.wording import CONTACT
from vpnctl.texts.words import Words

D = TypeVar("D", bound=Concerning)
PAGE = 8
"""Buttons of a list on one screen: what fits a phone, and far below what Telegram takes."""


@dataclass(frozen=True)
class Context:
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
        return Words(self.locale, markup=True, persian=self.app.settings.persian)

    @property
    def labels(self) -> Words:
        """Texts of buttons, which are plain."""
        return Words(self.locale, persian=self.app.settings.persian)

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
        return Choice(label(self.labels.say(text, **(with_ or {}))), action, args)

    def contact(self) -> tuple[Choice, ...]:
        """Return the button that writes to an admin, where the settings name one."""
        link = self.app.settings.support_contact
        return (Choice(self.labels.say(CONTACT), url=link),) if link else ()

    def back(self, action: str = "home", **args: Any) -> tuple[Choice, ...]:
        """Return the last row of every screen."""
        home = (self.choice("« Menu", "home"),)
        return home if action == "home" else (self.choice("‹ Back", action, **args), *home)

    def carry_out(self, done: D) -> D:
        """Have the nodes that a verb concerns settled once this is committed; return what the verb did."""
        self.nodes.update(done.node_ids)
        return done

    def act(self, verb: str, *, takes: bool = False, **details: Any) -> None:
        """Count what an admin does, and tell the other admins. TooOften when it is more than a person would do."""
        admins.act(self.tx, self.app, (self.sender, self.name), verb, details, takes=takes)

    def page(self, choices: Sequence[Choice], action: str, **args: Any) -> Rows:
        """Return one page of many buttons, and the way to the next; `action` shows the same screen again."""
        first = self.args.get("from", 0)
        there = choices[first : first + PAGE]
        more = [self.choice("First page", action, **args)] if first else []
        more += [self.choice("Next ›", action, **args, **{"from": first + PAGE})] if len(choices) > first + PAGE else []
        return (*grid(there, 1), *([tuple(more)] if more else []))


def rows(*each: Iterable[Choice]) -> Rows:
    """Return rows of buttons, those that have any."""
    return tuple(row for row in (tuple(row) for row in each) if row)
