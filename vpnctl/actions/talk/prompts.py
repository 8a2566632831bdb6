"""What the bot asked somebody to write: the next text of theirs answers it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.talk_rows import Prompt

LIFE = timedelta(minutes=15)
_table = models.prompt.c


def ask(tx: Tx, who: int, action: str, args: dict[str, Any], now: datetime) -> None:
    """Have the next text of somebody (a Telegram id) be for a button's action."""
    drop(tx, who)
    tx.insert(Prompt(telegram_id=who, action=action, args=args, expires_at=now + LIFE))


def take(tx: Tx, who: int, now: datetime) -> Prompt | None:
    """Return what a text of somebody answers, and forget it."""
    found = tx.one(Prompt, _table.telegram_id == who)
    drop(tx, who)
    return found if found is not None and found.expires_at > now else None


def drop(tx: Tx, who: int) -> None:
    """Forget what somebody was asked: they did something else."""
    tx.execute(models.prompt.delete().where(_table.telegram_id == who))
