"""Buttons: laid under a message for one person, pressed once, worth nothing after a time."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.talk_rows import Button
from vpnctl.texts.letter import Choice

_table = models.button.c
TOKEN_BYTES = 16


class Press(StrEnum):
    """What pressing a button means."""

    GOOD = "good"
    USED = "used"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """No such button, or somebody else's."""


def lay(tx: Tx, owner: int, rows: Sequence[Sequence[Choice]], expires_at: datetime) -> list[list[dict[str, str]]]:
    """Return the keyboard of one screen for `owner`. What a button does stays here; it carries a random token."""
    screen = str(uuid.uuid4())
    made: list[Button] = []

    def one(choice: Choice) -> dict[str, str]:
        if choice.url:
            return {"text": choice.label, "url": choice.url}
        token = secrets.token_urlsafe(TOKEN_BYTES)
        made.append(
            Button(id=token, screen=screen, owner=owner, action=choice.action, args=choice.args, expires_at=expires_at)
        )
        return {"text": choice.label, "callback_data": token}

    keyboard = [[one(choice) for choice in row] for row in rows]
    tx.insert_all(made)
    return keyboard


def press(tx: Tx, token: str, who: int, now: datetime) -> tuple[Press, Button | None]:
    """Use a button, and with it all others of its screen, so that only one of them ever acts."""
    found = tx.one(Button, _table.id == token) if token.isascii() else None
    if found is None or found.owner != who:
        return Press.UNKNOWN, None
    if found.used_at is not None:
        return Press.USED, None
    if found.expires_at <= now:
        return Press.EXPIRED, None
    if not tx.update(Button, _table.screen == found.screen, _table.used_at.is_(None), used_at=now):
        return Press.USED, None
    return Press.GOOD, found
