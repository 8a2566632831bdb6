"""Sending the outbox at Telegram's pace. Killed between Telegram's answer and our commit, one message goes twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import clock
from vpnctl.actions.people import users
from vpnctl.actions.talk import buttons, handover
from vpnctl.app import CHAT_MOVED, App
from vpnctl.errors import Conflict, told
from vpnctl.remote import telegram
from vpnctl.remote.telegram import Account, Fate, Outcome
from vpnctl.store import lockdown, models
from vpnctl.store.buying_rows import Proof
from vpnctl.store.engine import Tx
from vpnctl.store.queue import wanted
from vpnctl.store.rows import Notice
from vpnctl.store.typed import made
from vpnctl.texts import wording
from vpnctl.texts.letter import Letter
from vpnctl.texts.words import Words

BATCH = 100
RUN = timedelta(seconds=45)
LEASE = timedelta(seconds=90)
PATIENCE, LONGEST = timedelta(days=2), 5
"""How long is tried what has no end of its own, and the power of two at which pauses grow no more."""
GIVE_UP = 3
NAME = "notify"
BUTTONS = timedelta(days=7)
"""How long the buttons under a message work; those of a menu work for less."""
_table, _user, _peer = models.notice.c, models.user.c, models.peer.c


@dataclass(frozen=True)
class Recipient:
    """Who gets a message: a Telegram chat, None where nobody is reached, and the language."""

    chat: int | None
    locale: str


def deliver(app: App, turn: Callable[[], None] | None = None) -> Counter[str]:
    """Send what waits, as long as a run may take. Return how many had which fate.

    `turn` waits until one more message may be sent; without it this keeps to `telegram_rate` by itself.
    """
    turn = turn or (lambda: time.sleep(1 / app.settings.telegram_rate))
    if not app.settings.bot_token.reveal():
        return Counter()
    with app.store.read() as tx:
        if not _waiting(tx, app.clock()):
            return Counter()
    if not _lease(app):
        return Counter({"another sender is at work": 1})
    run = _Run()
    try:
        _deliver(app, run, turn)
    finally:
        _release(app, run.pause)
    return run.counts


@dataclass
class _Run:
    """One run of the sender. `pause`: seconds for which Telegram wants nobody to send."""

    ends: float = field(default_factory=lambda: time.monotonic() + RUN.total_seconds())
    renewed: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    full: set[int | None] = field(default_factory=set)
    """Chats that take no more now. Telegram limits single chats, and all together: several full ones mean all."""
    pause: int = 0

    @property
    def over(self) -> bool:
        """Whether the line is dead, the bot is limited, or the time is up; the next run goes on."""
        return self.silent >= GIVE_UP or len(self.full) >= GIVE_UP or time.monotonic() > self.ends


def _deliver(app: App, run: _Run, turn: Callable[[], None]) -> None:
    while not run.over:
        with app.store.read() as tx:
            waiting = [each for each in _waiting(tx, app.clock()) if each[1].chat not in run.full]
        if not waiting:
            return
        for notice, person in waiting:
            if person.chat in run.full or run.over:
                continue
            turn()
            outcome = _sent(app, notice, person)
            if outcome.fate is Fate.ACCOUNT:
                run.counts["not sent: Telegram does not know the bot token"] += 1
                return
            _record(app, notice, person, outcome)
            _renew(app, run)
            run.counts[str(outcome.fate)] += 1
            run.silent = run.silent + 1 if outcome.fate is Fate.LATER else 0
            if outcome.fate is Fate.WAIT:
                run.full.add(person.chat)
                run.pause = outcome.seconds if len(run.full) >= GIVE_UP else 0


def _sent(app: App, notice: Notice, person: Recipient) -> Outcome:
    """Send; a notice that cannot be made into a message must not keep the others from being sent."""
    try:
        return _send(app, notice, person)
    except Exception as error:  # noqa: BLE001
        return Outcome(Fate.LATER, told(error))


def _waiting(tx: Tx, now: datetime, only: str = "") -> list[tuple[Notice, Recipient]]:
    """Return what may be sent now: a config only once its peer was read on the node, and none during a lockdown."""
    config = _table.kind.in_((handover.FILE, handover.QR))
    there = sa.and_(_peer.present_at.is_not(None), wanted(now))
    ready = sa.or_(there, _peer.revoked_at.is_not(None), _table.valid_until <= now)
    query = (
        sa.select(models.notice, _user.telegram_id, _user.bot_blocked_at, _user.locale)
        .outerjoin(models.user, _user.id == _table.user_id)
        .outerjoin(models.peer, sa.and_(_peer.id == _table.subject_id, config))
        .where(_table.sent_at.is_(None), _table.failed_at.is_(None), _table.not_before <= now)
        .where(sa.not_(config) if lockdown.current(tx, now) else sa.or_(sa.not_(config), ready))
        .where(*([_table.id == only] if only else []))
        .order_by(_table.not_before, _table.created_at, _table.kind, _table.id)
        .limit(BATCH)
    )
    found: list[tuple[Notice, Recipient]] = []
    for *row, telegram_id, blocked, locale in tx.execute(query):
        notice = made(Notice, row)
        chat = None if blocked else telegram_id if notice.user_id else notice.details.get("to")
        found.append((notice, Recipient(chat, locale or _locale(tx, chat))))
    return found


def _locale(tx: Tx, chat: int | None) -> str:
    """Return the language of an admin who is also a user."""
    where = (_user.telegram_id == chat, _user.removed_at.is_(None))
    found = tx.execute(sa.select(_user.locale).where(*where)).scalar()
    seen = sa.select(models.applicant.c.locale).where(models.applicant.c.telegram_id == chat)
    return found or tx.execute(seen).scalar() or "en"


def _send(app: App, notice: Notice, person: Recipient) -> Outcome:
    if notice.valid_until is not None and notice.valid_until <= app.clock():
        if _trusted(app):
            return Outcome(Fate.REFUSED, "too late to be of use")
        return Outcome(Fate.LATER, "held back: this machine's clock jumped")
    if person.chat is None:
        who = "the person cannot be reached by Telegram" if notice.user_id else "nobody is named: set admin_ids"
        return Outcome(Fate.REFUSED, who)
    account = Account(app.settings.telegram_api_url, app.settings.bot_token)
    words = Words(person.locale, persian=app.settings.persian)
    letter = wording.letter(notice.kind, notice.details, app.settings.zone, words, app.settings.support_contact)
    if notice.kind in (handover.FILE, handover.QR):
        return _send_config(app, account, notice, person.chat, letter.text, words)
    chat, keyboard = _chat_now(app, person.chat), _keyboard(app, person.chat, letter)
    if notice.kind == "proof":
        return _send_proof(app, account, notice, (chat, letter.text), keyboard)
    outcome = telegram.send(account, chat, letter.text, keyboard)
    if outcome.fate is not Fate.MOVED:
        return outcome
    with app.store.write() as tx:
        tx.set_meta(f"{CHAT_MOVED}{person.chat}", str(outcome.chat))
    return telegram.send(account, outcome.chat, letter.text, keyboard)


def _send_proof(
    app: App, account: Account, notice: Notice, what: tuple[int, str], keyboard: telegram.Keyboard
) -> Outcome:
    """Send a receipt to an admin, as long as it is not forgotten, with what it is for."""
    with app.store.read() as tx:
        row = tx.one(Proof, models.proof.c.id == notice.subject_id)
    if row is None or row.file_id is None:
        return telegram.send(account, *what, keyboard)
    return telegram.again(account, what[0], row.kind, row.file_id, what[1], keyboard)


def _chat_now(app: App, chat: int) -> int:
    """Return where a chat is now: a group that became a supergroup has another id."""
    with app.store.read() as tx:
        return int(tx.meta(f"{CHAT_MOVED}{chat}") or chat)


def _send_config(app: App, account: Account, notice: Notice, chat: int, caption: str, words: Words) -> Outcome:
    """Look once more: since it was chosen the bot may have been locked, or the device cut."""
    with app.store.read() as tx:
        if all(notice.id != each.id for each, _ in _waiting(tx, app.clock(), notice.id)):
            return Outcome(Fate.LATER, "held back")
    try:
        part = handover.package(app, notice.kind, notice.subject_id)
        link = handover.pasted(app, notice.subject_id) if notice.kind == handover.QR else ""
    except Conflict as error:
        return Outcome(Fate.REFUSED, error.what)
    if notice.kind == handover.FILE:
        return telegram.document(account, chat, part, caption)
    return telegram.photo(account, chat, part, caption, wording.tap(words), link)


def _keyboard(app: App, chat: int, letter: Letter) -> list[list[dict[str, str]]]:
    if not letter.choices:
        return []
    with app.store.write() as tx:
        rows = [letter.choices[at : at + 2] for at in range(0, len(letter.choices), 2)]
        return buttons.lay(tx, chat, rows, app.clock() + BUTTONS)


def _record(app: App, notice: Notice, person: Recipient, outcome: Outcome) -> None:
    now = app.clock()
    values: dict[str, Any] = {"tries": notice.tries + 1, "error": outcome.why[:200] or None}
    if outcome.fate is Fate.SENT:
        values |= {"sent_at": now}
    elif outcome.fate is Fate.WAIT:
        values |= {"tries": notice.tries}
    elif outcome.fate is Fate.LATER and (_patient(notice, now) or not _trusted(app)):
        values |= {"not_before": now + timedelta(seconds=30 * 2 ** min(notice.tries, LONGEST))}
    else:
        values |= {"failed_at": now}
    with app.store.write() as tx:
        tx.update(Notice, _table.id == notice.id, **values)
        if outcome.fate is Fate.WAIT:
            _hold_chat(tx, notice, now + timedelta(seconds=outcome.seconds))
        if notice.kind in (handover.FILE, handover.QR):
            handover.note_outcome(tx, app, notice.kind, notice.subject_id, arrived=outcome.fate is Fate.SENT)
        if outcome.fate is Fate.BLOCKED and notice.user_id and person.chat is not None:
            users.reachable(tx, person.chat, now)


def _patient(notice: Notice, now: datetime) -> bool:
    return (notice.valid_until or notice.created_at + PATIENCE) > now


def _trusted(app: App) -> bool:
    """Return whether the clock may give up a message: one that jumped must not."""
    return not clock.jump(app)


def _hold_chat(tx: Tx, notice: Notice, until: datetime) -> None:
    """Let everything for that chat wait."""
    open_ = (_table.sent_at.is_(None), _table.failed_at.is_(None))
    same = _table.user_id == notice.user_id
    if notice.user_id is None:
        same = sa.and_(_table.user_id.is_(None), _table.details["to"].as_integer() == notice.details.get("to"))
    tx.update(Notice, *open_, same, _table.not_before < until, not_before=until)


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
    """Let others send; after `seconds` only when Telegram asked for a pause. A lease that another took stays."""
    with app.store.write() as tx:
        if json.loads(tx.meta(f"lease:{NAME}") or "{}").get("run") == app.run_id:
            _hold(tx, app, app.clock() + timedelta(seconds=seconds))


def _renew(app: App, run: _Run) -> None:
    """Keep the lease while messages take their time."""
    if time.monotonic() - run.renewed > LEASE.total_seconds() / 4:
        run.renewed = time.monotonic()
        with app.store.write() as tx:
            _hold(tx, app, app.clock() + LEASE)


def _hold(tx: Tx, app: App, until: datetime) -> None:
    tx.set_meta(f"lease:{NAME}", json.dumps({"run": app.run_id, "until": until.astimezone(UTC).isoformat()}))
