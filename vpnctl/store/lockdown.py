"""The bot's lock: since when, until when, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from vpnctl.store.engine import Tx

_NAME = "bot_lockdown"


@dataclass(frozen=True)
class Lock:
    """Since when the bot is locked, until when (None: until it is unlocked), and what people are told of why."""

    since: datetime
    until: datetime | None = None
    reason: str = ""


def current(tx: Tx, now: datetime) -> Lock | None:
    """Return the lock that holds now; one whose time is over holds no more."""
    kept = tx.meta(_NAME)
    if not kept:
        return None
    try:
        said = json.loads(kept) if kept.startswith("{") else {"since": kept}  # up to schema 0010 it was the time alone
        until = datetime.fromisoformat(said["until"]) if said.get("until") else None
        held = Lock(datetime.fromisoformat(said["since"]), until, str(said.get("reason", "")))
        return None if until is not None and until <= now else held
    except (ValueError, LookupError, TypeError):
        return Lock(now)  # somebody wrote something else there: locked is what is safe


def keep(tx: Tx, lock: Lock | None) -> None:
    """Set the lock, or none."""
    said = {"since": lock.since.isoformat(), "reason": lock.reason} if lock else {}
    said |= {"until": lock.until.isoformat()} if lock and lock.until else {}
    tx.set_meta(_NAME, json.dumps(said) if said else "")
