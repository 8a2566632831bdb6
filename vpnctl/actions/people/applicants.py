"""Strangers at the bot's door: a captcha, a request that an admin approves or rejects."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.actions.people import users
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.reports import mine
from vpnctl.rules import grammar
from vpnctl.rules.translation import mark
from vpnctl.store import events, find, models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.people import plans_in_use
from vpnctl.store.rows import User
from vpnctl.store.talk_rows import Applicant
from vpnctl.texts.letter import Choice

_table = models.applicant.c
TRIES = 3
PAUSE = timedelta(hours=1)
SHOWN = 4
"""Plans that are offered at once to who is let in; /plans has all."""
CROWD = 20
"""People who ask for access in an hour; of more of them the admins do not get a message each."""
PICTURES = {
    "🍎": mark("apple"),
    "🚲": mark("bicycle"),
    "🐟": mark("fish"),
    "🏠": mark("house"),
    "🔑": mark("key"),
    "🌙": mark("moon"),
    "☂️": mark("umbrella"),
    "🎸": mark("guitar"),
    "✈️": mark("plane"),
    "🐘": mark("elephant"),
}
SHOWN = 6


def known(tx: Tx, telegram_id: int, locale: str, now: datetime) -> Applicant:
    """Return what is remembered of a stranger, who is remembered from now on."""
    found = tx.one(Applicant, _table.telegram_id == telegram_id)
    if found is None:
        found = Applicant(telegram_id=telegram_id, locale=locale, tries=0, bad_codes=0, seen_at=now)
        tx.insert(found)
    elif found.locale != locale:
        found = replace(found, locale=locale)
        tx.update(Applicant, _table.telegram_id == telegram_id, locale=locale)
    if found.wait_until is not None and found.wait_until <= now:
        found = replace(found, tries=0, bad_codes=0, wait_until=None)
        tx.update(Applicant, _table.telegram_id == telegram_id, tries=0, bad_codes=0, wait_until=None, seen_at=now)
    return found


def challenge() -> tuple[str, list[Choice]]:
    """Return (the name of a picture, pictures to choose from). Which one is right stays here, with the buttons."""
    shown = secrets.SystemRandom().sample(sorted(PICTURES), SHOWN)
    right = secrets.choice(shown)
    return PICTURES[right], [Choice(each, "captcha", {"right": each == right}) for each in shown]


def wrong(tx: Tx, who: Applicant, now: datetime, *, code: bool = False) -> datetime | None:
    """Count a wrong picture, or a wrong invitation; return until when we do not listen after too many of them."""
    tries, codes = who.tries + (not code), who.bad_codes + code
    until = now + PAUSE if tries >= TRIES or codes > TRIES else None
    values = {"tries": tries, "bad_codes": codes, "wait_until": until, "seen_at": now}
    tx.update(Applicant, _table.telegram_id == who.telegram_id, **values)
    return until


def apply(app: App, telegram_id: int, display: str, locale: str) -> User:
    """Make a user who waits for approval, and tell the admins; who asked before is returned as they are."""
    with app.store.write() as tx:
        there = users.by_telegram(tx, telegram_id)
        if there is not None:
            return there
        tx.update(Applicant, _table.telegram_id == telegram_id, tries=0)
        row = new_user(tx, app, telegram_id, display, locale)
        outbox.enqueue(tx, _told(tx, app, row), app.clock())
        return row


def _told(tx: Tx, app: App, row: User) -> list[Message]:
    """Tell the admins of an applicant; of a crowd only once an hour that there is one."""
    now, table = app.clock(), models.user.c
    lately = (table.requested_at > now - timedelta(hours=1), table.approved_at.is_(None), table.removed_at.is_(None))
    if (tx.execute(sa.select(sa.func.count()).where(*lately)).scalar() or 0) > CROWD:
        return alerts.admins(app, "crowd", "applicants", f"{now:%Y%m%d%H}", {})
    details = {"user": row.name, "display": row.display_name, "telegram_id": row.telegram_id, "id": row.id}
    return alerts.admins(app, "application", row.id, "", details)


def new_user(tx: Tx, app: App, telegram_id: int, display: str, locale: str) -> User:
    """Add a user who waits, for a Telegram account; named by its number: what people call themselves is no name."""
    details: dict[str, Any] = {
        "telegram_id": telegram_id,
        "display_name": grammar.display_name(display),
        "locale": locale,
        "approved_at": None,
        "approved_by": None,
        "unlimited": False,
    }
    name, count = f"tg{telegram_id}", 1
    table = models.user.c
    while tx.one(User, table.name == name, table.removed_at.is_(None)) is not None:
        count += 1
        name = f"tg{telegram_id}-{count}"
    row = users.insert(tx, app, [name], details, "user.request")[0]
    users.link(tx, app, row, telegram_id)
    return row


def approve(app: App, name: str, *, again: bool = False) -> User:
    """Let a user in who waits. Access is unlimited as long as there are no plans. Conflict when nobody waits.

    With `again` also who was turned away or blocked meanwhile.
    """
    with app.store.write() as tx:
        row = find.user(tx, name)
        if row.approved_at is not None:
            raise Conflict(f"{name} is approved already, by {row.approved_by}", f"vpnctl user show {name}")
        if row.blocked_at is not None and not again:
            raise Conflict(f"{name} was turned away already, by {row.blocked_by}", f"vpnctl user approve {name}")
        admit(tx, app, row)
        if row.telegram_id is not None:
            kind = "approved" if find.user(tx, name).unlimited else "approved_plans"
            sold = [] if kind == "approved" else [[each.name, each.called(row.locale)] for each in mine.on_sale(tx)]
            outbox.enqueue(tx, [Message(USER, kind, row.id, "", {"plans": sold[:SHOWN]}, row.id)], app.clock())
        return find.user(tx, name)


def admit(tx: Tx, app: App, row: User) -> None:
    """Approve a user inside a transaction; a rejection is taken back by it."""
    values = {"approved_at": app.clock(), "approved_by": app.actor, "blocked_at": None, "blocked_by": None}
    unlimited = row.unlimited or not plans_in_use(tx)
    tx.update(User, models.user.c.id == row.id, **values, unlimited=unlimited)
    events.record(tx, stamp(app), "user.approve", ("user", row.id, row.name), None, {"unlimited": unlimited})


def reject(app: App, name: str) -> User:
    """Turn a user away who waits: blocked, so that asking again is of no use. Conflict when nobody waits."""
    with app.store.write() as tx:
        row = find.user(tx, name)
        if row.approved_at is not None:
            raise Conflict(f"{name} is approved already, by {row.approved_by}", f"vpnctl user block {name}")
        if row.blocked_at is not None:
            raise Conflict(f"{name} is turned away already, by {row.blocked_by}", f"vpnctl user approve {name}")
        tx.update(User, models.user.c.id == row.id, blocked_at=app.clock(), blocked_by=app.actor)
        events.record(tx, stamp(app), "user.reject", ("user", row.id, row.name))
        if row.telegram_id is not None:
            outbox.enqueue(tx, [Message(USER, "rejected", row.id, "", {}, row.id)], app.clock())
        return find.user(tx, name)
