"""Invitations: a link that makes whoever opens it first a user, once, for some days. Only its hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from datetime import timedelta

from vpnctl.actions.outcome import stamp
from vpnctl.actions.people import applicants, users
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.remote import telegram
from vpnctl.remote.telegram import Account
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.store.talk_rows import Invite

_table = models.invite.c
_CODE = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""What Telegram lets a link carry (core.telegram.org/bots/features#deep-linking)."""
MAX_DAYS = 90
BOT_NAME = "bot_name"
"""In the table `meta`: the bot's user name, as Telegram told it last."""


def create(app: App, name: str | None, days: int) -> Secret:
    """Return the code of a new invitation: for a user who has no Telegram account yet, or for somebody new."""
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInput(f"{days} days are out of range", f"1 to {MAX_DAYS}")
    code = secrets.token_urlsafe(24)
    with app.store.write() as tx:
        user = find.user(tx, name) if name is not None else None
        if user is not None and user.telegram_id is not None:
            raise Conflict(f"{name} has a Telegram account already", f"vpnctl user show {name}")
        now = app.clock()
        row = Invite(
            id=str(uuid.uuid4()),
            code_hash=_hash(code),
            user_id=user.id if user else None,
            made_by=app.actor,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        tx.insert(row)
        subject = ("user", user.id, user.name) if user else ("invite", row.id, "somebody new")
        events.record(tx, stamp(app), "invite.create", subject, None, {"days": days})
    return Secret(code)


def link(bot: str, code: Secret) -> Secret:
    """Return what the invited person opens."""
    return Secret(f"https://t.me/{bot}?start={code.reveal()}")


def redeem(app: App, code: str, telegram_id: int, display: str, locale: str) -> User:
    """Use an invitation. NotFound when it is none, or used, or too old; Conflict for who has access already."""
    with app.store.write() as tx:
        row = tx.one(Invite, _table.code_hash == _hash(code)) if _CODE.fullmatch(code) else None
        now = app.clock()
        open_ = (_table.used_at.is_(None), _table.expires_at > now)
        there = users.by_telegram(tx, telegram_id)
        if there is not None and (there.approved_at is not None or there.blocked_at is not None):
            raise Conflict("that account is known already")
        if row is None or not tx.update(Invite, _table.id == row.id, *open_, used_at=now):
            raise NotFound("there is no such invitation")
        who = (telegram_id, display, locale)
        user = _named(tx, app, row, *who) if row.user_id else _somebody(tx, app, *who)
        events.record(tx, stamp(app), "invite.redeem", ("user", user.id, user.name), None, {"invite": row.id})
        return user


def _somebody(tx: Tx, app: App, telegram_id: int, display: str, locale: str) -> User:
    there = users.by_telegram(tx, telegram_id)
    row = there or applicants.new_user(tx, app, telegram_id, display, locale)
    applicants.admit(tx, app, row)
    return find.user(tx, row.name)


def _named(tx: Tx, app: App, row: Invite, telegram_id: int, display: str, locale: str) -> User:
    """The account becomes that of the named user; what it asked for on its own is withdrawn."""
    named = tx.one(User, models.user.c.id == row.user_id, models.user.c.removed_at.is_(None))
    if named is None or named.telegram_id is not None:
        raise NotFound("there is no such invitation")
    there = users.by_telegram(tx, telegram_id)
    if there is not None:
        users.remove_row(tx, app, there)
    shown = named.display_name or grammar.display_name(display)
    tx.update(User, models.user.c.id == named.id, telegram_id=telegram_id, locale=locale, display_name=shown)
    users.link(tx, app, named, telegram_id)
    after = {"telegram_id": telegram_id, "locale": locale}
    events.record(tx, stamp(app), "user.set", ("user", named.id, named.name), {"telegram_id": None}, after)
    return find.user(tx, named.name)


def withdraw(app: App, start: str) -> Invite:
    """Make an invitation worthless that nobody used yet. NotFound when there is no such one."""
    if not re.fullmatch(r"[0-9a-f-]{1,36}", start):
        raise InvalidInput(f"'{grammar.clean(start)}' is not an invitation's id", "vpnctl user invites")
    with app.store.write() as tx:
        found = tx.all(Invite, _table.id.startswith(start, autoescape=True), _table.used_at.is_(None), limit=2)
        if len(found) != 1:
            raise NotFound(f"there is no one open invitation {start!r}", "vpnctl user invites")
        tx.update(Invite, _table.id == found[0].id, used_at=app.clock())
        events.record(tx, stamp(app), "invite.withdraw", ("invite", found[0].id, found[0].id[:8]))
        return found[0]


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def find_bot(app: App) -> str:
    """Return the bot's user name, asking Telegram where the bot did not run yet; empty when nobody knows."""
    with app.store.read() as tx:
        known = bot_name(tx)
    if known or not app.settings.bot_token.reveal():
        return known
    return telegram.whoami(Account(app.settings.telegram_api_url, app.settings.bot_token))[0]


def remember_bot(app: App, name: str) -> None:
    """Note the bot's user name as Telegram told it."""
    with app.store.write() as tx:
        if bot_name(tx) != name:
            tx.set_meta(BOT_NAME, name)


def bot_name(tx: Tx) -> str:
    """Return the bot's user name as Telegram told it last; empty before the bot ran."""
    return tx.meta(BOT_NAME) or ""
