"""Sending the outbox at Telegram's pace. Killed between Telegram's answer and our commit, one message goes twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl import wording
from vpnctl.actions import buttons, handover, lockdown
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.remote import telegram
from vpnctl.remote.telegram import Account, Fate, Outcome
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Notice, User
from vpnctl.words import Words

BATCH = 100
RUN = timedelta(seconds=45)
LEASE = timedelta(seconds=90)
TRIES = 8
NAME = "notify"
BUTTONS = timedelta(days=7)
"""How long the buttons under a message work; those of a menu work for less."""
_table, _user, _peer = models.notice.c, models.user.c, models.peer.c


@dataclass(frozen=True)
class Person:
    """Who gets a message: a Telegram chat, None where nobody is reached, and the language."""

    chat: int | None
    locale: str


def deliver(app: App, turn: Callable[[], None] | None = None) -> Counter[str]:
    """Send what waits, as long as a run may take. Return how many had which fate.

    `turn` waits until one more message may be sent; without it this keeps to `telegram_rate` by itself.
    """
    turn = turn or (lambda: time.sleep(1 / app.settings.telegram_rate))
    counts: Counter[str] = Counter()
    if not app.settings.bot_token.reveal():
        return counts
    with app.store.read() as tx:
        if not _waiting(tx, app.clock()):
            return counts
    if not _lease(app):
        return Counter({"another sender is at work": 1})
    ends, silent = time.monotonic() + RUN.total_seconds(), 0
    while time.monotonic() < ends and silent < 3:  # noqa: PLR2004 - then the line is dead, the next run tries again
        with app.store.read() as tx:
            waiting = _waiting(tx, app.clock())
        if not waiting:
            break
        for notice, person in waiting:
            turn()
            outcome = _send(app, notice, person)
            _record(app, notice, outcome)
            counts[str(outcome.fate)] += 1
            silent = silent + 1 if outcome.fate is Fate.LATER else 0
            if outcome.fate is Fate.WAIT or silent >= 3 or time.monotonic() > ends:  # noqa: PLR2004
                _release(app, outcome.seconds)
                return counts
    _release(app, 0)
    return counts


def _waiting(tx: Tx, now: datetime) -> list[tuple[Notice, Person]]:
    """Return what may be sent now: a config only once its peer was read on the node, and none during a lockdown."""
    config = _table.kind.in_((handover.FILE, handover.QR))
    ready = sa.or_(_peer.present_at.is_not(None), _peer.revoked_at.is_not(None))
    query = (
        sa.select(models.notice, _user.telegram_id, _user.bot_blocked_at, _user.locale)
        .outerjoin(models.user, _user.id == _table.user_id)
        .outerjoin(models.peer, sa.and_(_peer.id == _table.subject_id, config))
        .where(_table.sent_at.is_(None), _table.failed_at.is_(None), _table.not_before <= now)
        .where(sa.not_(config) if lockdown.since(tx) else sa.or_(sa.not_(config), ready))
        .order_by(_table.not_before, _table.created_at, _table.kind, _table.id)
        .limit(BATCH)
    )
    found: list[tuple[Notice, Person]] = []
    for *row, telegram_id, blocked, locale in tx.execute(query):
        notice = Notice(*row)
        chat = None if blocked else telegram_id if notice.user_id else notice.details.get("to")
        found.append((notice, Person(chat, locale or _locale(tx, chat))))
    return found


def _locale(tx: Tx, chat: int | None) -> str:
    """Return the language of an admin who is also a user."""
    where = (_user.telegram_id == chat, _user.removed_at.is_(None))
    return tx.execute(sa.select(_user.locale).where(*where)).scalar() or "en"


def _send(app: App, notice: Notice, person: Person) -> Outcome:
    if notice.valid_until is not None and notice.valid_until <= app.clock():
        return Outcome(Fate.REFUSED, "too late to be of use")
    if person.chat is None:
        who = "the person cannot be reached by Telegram" if notice.user_id else "nobody is named: set admin_ids"
        return Outcome(Fate.REFUSED, who)
    account = Account(app.settings.telegram_api_url, app.settings.bot_token)
    letter = wording.letter(notice.kind, notice.details, app.settings.zone, Words(person.locale))
    if notice.kind in (handover.FILE, handover.QR):
        return _send_config(app, account, notice, person.chat, letter.text)
    return telegram.send(account, person.chat, letter.text, _keyboard(app, person.chat, letter))


def _send_config(app: App, account: Account, notice: Notice, chat: int, caption: str) -> Outcome:
    try:
        part = handover.package(app, notice.kind, notice.subject_id)
    except Conflict as error:
        return Outcome(Fate.REFUSED, error.what)
    way = telegram.document if notice.kind == handover.FILE else telegram.photo
    return way(account, chat, part, caption)


def _keyboard(app: App, chat: int, letter: wording.Letter) -> list[list[dict[str, str]]]:
    if not letter.choices:
        return []
    with app.store.write() as tx:
        return buttons.lay(tx, chat, [letter.choices], app.clock() + BUTTONS)


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
        if outcome.fate is Fate.SENT and notice.kind in (handover.FILE, handover.QR):
            handover.sent(tx, app, notice.kind, notice.subject_id)
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
