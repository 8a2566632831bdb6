"""What admins do through the bot: braked, and told to the other admins."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.errors import TooOften
from vpnctl.store import models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import ADMIN, Message

TAKES = ("user.block", "user.reject", "request.refuse", "payment.reject", "subscription.cancel")
EMERGENCY = ("bot.lockdown",)
"""Not braked: whoever needs it needs it now, and it is undone on the command line."""
GIVES = (
    "user.approve",
    "user.add",
    "user.unblock",
    "subscription.grant",
    "subscription.extend",
    "request.grant",
    "payment.accept",
)
_AS_EVENT = {"payment.accept": "order.paid", "payment.reject": "order.refused"}
"""What the events of an act are called, where they are called otherwise."""
HOURLY = 20
"""Acts of one admin's account in an hour that take access away, and of those that give it."""


def act(tx: Tx, app: App, who: tuple[int, str], verb: str, details: dict[str, Any], *, takes: bool) -> None:
    """Note that the admin `who` (id, name) does something, and tell the others. TooOften beyond what a person does."""
    if verb not in EMERGENCY and _lately(tx, app, TAKES if takes else GIVES) >= HOURLY:
        raise TooOften("the brake: too much in an hour for one account", "use the command line")
    number, name = who
    told = {"verb": verb, "admin": name or str(number), **details}
    others = [each for each in app.settings.admin_ids if each != number]
    once = secrets.token_hex(12)
    outbox.enqueue(tx, [Message(ADMIN, "act", once, "", told, to=each) for each in others], app.clock())


def _lately(tx: Tx, app: App, verbs: tuple[str, ...]) -> int:
    table = models.event.c
    verbs = tuple(_AS_EVENT.get(each, each) for each in verbs)
    where = (table.actor == app.actor, table.at > app.clock() - timedelta(hours=1), table.verb.in_(verbs))
    return tx.execute(sa.select(sa.func.count()).where(*where)).scalar() or 0
