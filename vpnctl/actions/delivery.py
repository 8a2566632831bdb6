"""Sending the outbox at Telegram's pace. Killed between Telegram's answer and our commit, one message goes twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl import wording
from vpnctl.app import App
from vpnctl.remote import telegram
from vpnctl.remote.telegram import Fate, Outcome
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Notice, User

PACE = 0.05
"""Seconds between two messages: Telegram takes 30 a second over all chats."""
BATCH = 100
RUN = timedelta(seconds=45)
LEASE = timedelta(seconds=90)
TRIES = 8
NAME = "notify"
_table = models.notice.c

Send = Callable[[int, str], Outcome]


def deliver(app: App) -> Counter[str]:
    """Send what waits, as long as a run may take. Return how many had which fate."""
    counts: Counter[str] = Counter()
    if not app.settings.bot_token.reveal():
        return counts
    if not _lease(app):
        return Counter({"another sender is at work": 1})
    ends, silent = time.monotonic() + RUN.total_seconds(), 0
    while time.monotonic() < ends and silent < 3:  # noqa: PLR2004 - then the line is dead, the next run tries again
        with app.store.read() as tx:
            waiting = _waiting(tx, app.clock())
        if not waiting:
            break
        for notice, chat in waiting:
            outcome = _send(app, notice, chat)
            _record(app, notice, outcome)
            counts[str(outcome.fate)] += 1
            silent = silent + 1 if outcome.fate is Fate.LATER else 0
            if outcome.fate is Fate.WAIT or silent >= 3 or time.monotonic() > ends:  # noqa: PLR2004
                _release(app, outcome.seconds)
                return counts
            time.sleep(PACE)
    _release(app, 0)
    return counts


def _waiting(tx: Tx, now: datetime) -> list[tuple[Notice, int | None]]:
    query = (
        sa.select(models.notice, models.user.c.telegram_id, models.user.c.bot_blocked_at)
        .outerjoin(models.user, models.user.c.id == _table.user_id)
        .where(_table.sent_at.is_(None), _table.failed_at.is_(None), _table.not_before <= now)
        .order_by(_table.not_before, _table.created_at, _table.id)
        .limit(BATCH)
    )
    found: list[tuple[Notice, int | None]] = []
    for *row, telegram_id, blocked in tx.execute(query):
        notice = Notice(*row)
        found.append((notice, None if blocked else telegram_id if notice.user_id else notice.details.get("to")))
    return found


def _send(app: App, notice: Notice, chat: int | None) -> Outcome:
    if notice.valid_until is not None and notice.valid_until <= app.clock():
        return Outcome(Fate.REFUSED, "too late to be of use")
    if chat is None:
        who = "the person cannot be reached by Telegram" if notice.user_id else "nobody is named: set admin_ids"
        return Outcome(Fate.REFUSED, who)
    text = wording.text(notice.kind, notice.details, app.settings.zone)
    return telegram.send(app.settings.telegram_api_url, app.settings.bot_token, chat, text)


def _record(app: App, notice: Notice, outcome: Outcome) -> None:
    now = app.clock()
    values: dict[str, Any] = {"tries": notice.tries + 1, "error": outcome.why[:200] or None}
    if outcome.fate is Fate.SENT:
        values |= {"sent_at": now}
    elif outcome.fate is Fate.WAIT:
        values |= {"not_before": now + timedelta(seconds=outcome.seconds), "tries": notice.tries}
    elif outcome.fate is Fate.LATER and notice.tries + 1 < TRIES:
        values |= {"not_before": now + timedelta(seconds=30 * 2**notice.tries)}
    else:
        values |= {"failed_at": now}
    with app.store.write() as tx:
        tx.update(Notice, _table.id == notice.id, **values)
        if outcome.fate is Fate.BLOCKED and notice.user_id:
            tx.update(User, models.user.c.id == notice.user_id, bot_blocked_at=now)


def _lease(app: App) -> bool:
    """Take the right to send, for a time; another holder's runs out by itself when it was killed."""
    now = app.clock()
    with app.store.write() as tx:
        held = json.loads(tx.meta(f"lease:{NAME}") or "{}")
        until = datetime.fromisoformat(held["until"]) if held else None
        if until is not None and now < until <= now + timedelta(days=1):
            return False
        _hold(tx, app, now + LEASE)
    return True


def _release(app: App, seconds: int) -> None:
    """Let others send; after `seconds` only when Telegram asked for a pause."""
    with app.store.write() as tx:
        _hold(tx, app, app.clock() + timedelta(seconds=seconds))


def _hold(tx: Tx, app: App, until: datetime) -> None:
    tx.set_meta(f"lease:{NAME}", json.dumps({"run": app.run_id, "until": until.astimezone(UTC).isoformat()}))
